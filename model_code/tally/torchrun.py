"""torchrun with its own options, begun faster: `python -m tally.torchrun --nproc-per-node=2 -m tally.rank`."""

from tally.process import lasting_imports, leave

if __name__ == "__main__":
    with lasting_imports():
        from torch.distributed.run import main
    main()
    leave(0)
