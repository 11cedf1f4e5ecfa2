"""The process of one rank of a training job. `tally.container` starts it; by hand, on a prepared tree:

TALLY_ML_ROOT=/tmp/job python -m tally.rank                                          # one process
TALLY_ML_ROOT=/tmp/job python -m tally.torchrun --nproc-per-node=2 -m tally.rank   # DDP
"""

from tally.process import lasting_imports, leave

if __name__ == "__main__":
    with lasting_imports():
        from tally.training import main
    main()
    leave(0)
