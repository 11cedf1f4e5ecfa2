"""A model that was trained on the test photos is caught, whoever it is."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tally.data.grouping import place_all
from tally.data.shards import Photo, Split
from tally.errors import TallyError
from tally.evaluation import main
from tally.paths import MlPaths
from tally.provenance import TRAINED_ON_FILE, Overlap, TrainedOn, counts_by_source
from tests.model_code.evaluation_jobs import ARGUMENTS, GOOD, MODELS, make_job
from tests.model_code.jobs import Job as TrainingJob
from tests.model_code.jobs import configure, make_channels
from tests.model_code.tiny_model import CHANNELS, pack, write_model


def split_of(*photos: tuple[str, str, str], count: int = 1) -> Split:
    """A split of (id, group, sha256's end) without shards: nothing here decodes."""
    return Split(
        Path("nowhere"),
        [
            Photo(name, count, group, "source", digest.rjust(64, "0"), 8, 8, "shard", 0, 1)
            for name, group, digest in photos
        ],
        360,
    )


def test_a_photo_is_seen_by_content_by_group_or_by_its_neighbours() -> None:
    trained = TrainedOn.of(
        split_of(("00100", "csv:1", "a1"), ("00101", "csv:1", "a2")),
        split_of(("x", "csv:2", "a3"), ("a-7", "csv:3", "a4")),
    )
    test = split_of(
        ("copy", "csv:90", "a2"),  # the same file under another name
        ("00500", "csv:1", "b1"),  # another photo of the group
        ("00103", "csv:91", "b2"),  # two further than 00101
        ("098", "csv:92", "b3"),  # two before 00100: leading zeros do not count
        ("x", "csv:93", "b4"),  # the same id with new content
        ("00104", "csv:94", "b5"),  # three further
        ("b-7", "csv:95", "b6"),  # another prefix
        ("a-8", "block:7", "b7"),
    )
    assert trained.overlap(test) == Overlap(same=("copy",), grouped=("00500",), near=("00103", "098", "x", "a-8"))
    assert trained.overlap(split_of(("00104", "csv:94", "b5"))) == Overlap((), (), ())


def test_what_preprocess_splits_never_overlaps() -> None:
    ids = [f"{number:05d}" for number in range(4000)]
    groups = {key: f"bin {int(key) // 7}" for key in ids[:2000]}
    places = place_all(ids, groups)
    sides = {
        side: split_of(
            *((key, place.group, key) for key, place in places.items() if place.side == side and not place.guard)
        )
        for side in ("train", "validation", "test")
    }
    assert min(len(side) for side in sides.values()) > 100
    trained = TrainedOn.of(sides["train"], sides["validation"])
    assert trained.overlap(sides["test"]) == Overlap((), (), ())


def test_the_file_is_the_same_whatever_the_order_and_can_be_read_back(tmp_path: Path) -> None:
    photos = [(f"{number:05d}", f"csv:{number // 3}", f"{number:x}") for number in range(50)]
    one, other = TrainedOn.of(split_of(*photos)), TrainedOn.of(split_of(*photos[20:]), split_of(*photos[:20]))
    for name, trained in (("one", one), ("other", other)):
        (tmp_path / name).mkdir()
        trained.write(tmp_path / name)
    content = (tmp_path / "one" / TRAINED_ON_FILE).read_bytes()
    assert content == (tmp_path / "other" / TRAINED_ON_FILE).read_bytes()
    assert b"csv" not in content
    again = TrainedOn.read(tmp_path / "one")
    assert again is not None
    assert again.overlap(split_of(*photos)).same == tuple(name for name, _, _ in photos)
    assert TrainedOn.read(tmp_path) is None


def test_the_whole_public_dataset_takes_less_than_10_mb(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    photos, groups = 535_000, 27_000

    def fingerprints(size: int) -> np.ndarray:
        return np.unique(generator.integers(0, 2**64, size, dtype=np.uint64))

    TrainedOn(fingerprints(photos), fingerprints(groups), fingerprints(photos)).write(tmp_path)
    assert 8e6 < (tmp_path / TRAINED_ON_FILE).stat().st_size < 10e6


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / TRAINED_ON_FILE
    file.write_bytes(b"no fingerprints")
    with pytest.raises(TallyError, match=r"trained_on\.safetensors cannot be read"):
        TrainedOn.read(tmp_path)
    save_file({"contents": np.zeros(1, dtype=np.float32)}, file)
    with pytest.raises(TallyError, match="has no fingerprints contents, groups, numbers"):
        TrainedOn.read(tmp_path)


def test_photos_are_counted_by_source() -> None:
    assert counts_by_source(split_of(("1", "a", "a"), ("2", "b", "b"), count=4)) == {"source": [0, 0, 0, 2, 0]}


def make_job_where(tmp_path: Path, name: str, trained: TrainedOn) -> MlPaths:
    """An evaluation in which the model `name` tells that it was `trained` so, and the others that they saw nothing."""
    job = make_job(tmp_path, GOOD)
    nothing = TrainedOn.of(split_of(("other", "csv:other", "ff")))
    for model, channel in zip(MODELS, CHANNELS, strict=True):
        directory = write_model(tmp_path / "models" / model, channel)
        (trained if model == name else nothing).write(directory)
        pack(directory, job.paths.processing_input(model) / "model.tar.gz")
    return job.paths


@pytest.mark.parametrize(("name", "remedy"), [
    ("challenger", "train it on the train and validation folders of the Preprocess run"),
    ("champion", "put a version in service that has not seen them"),
    ("baseline", "train it on the train and validation folders of the Preprocess run"),
])  # fmt: skip
def test_no_model_may_have_seen_a_test_photo(tmp_path: Path, name: str, remedy: str) -> None:
    # The test photos' files end with their index; photo 2 lies in the group of 0 and 1.
    paths = make_job_where(tmp_path, name, TrainedOn.of(split_of(("p", "csv:p", "0"), ("q", "block:0", "fe"))))
    with pytest.raises(TallyError) as caught:
        main(ARGUMENTS, paths)
    message = str(caught.value)
    assert message.startswith(
        f"the {name} was trained on 1 of the 120 test photos and on others of the groups of 2 more "
        "(00000, 00001, 00002)"
    )
    assert remedy in message
    assert not (paths.processing_output("evaluation") / "evaluation.json").exists()


@pytest.mark.parametrize("name", MODELS)
def test_neighbours_refuse_the_models_of_this_run_and_warn_of_a_champion(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = make_job_where(tmp_path, name, TrainedOn.of(split_of(("00120", "csv:p", "fe"))))
    if name == "champion":
        main(ARGUMENTS, paths)
        assert "warning: the champion may know some bins: 2 of 120 test photos have ids next to" in (
            capsys.readouterr().out
        )
        return
    with pytest.raises(TallyError, match=rf"the {name}: 2 of 120 test photos have ids next to .* \(00118, 00119\)"):
        main(ARGUMENTS, paths)


@pytest.mark.e2e
def test_a_training_job_on_the_test_photos_makes_a_model_that_evaluate_refuses(tmp_path: Path) -> None:
    training, job = tmp_path / "training", make_job(tmp_path / "evaluation", GOOD)
    make_channels(training, validation=10)
    shutil.rmtree(training / "input/data/train")
    shutil.copytree(job.paths.processing_input("test"), training / "input/data/train")
    configure(training, epochs=1)
    with TrainingJob([training]) as running:
        codes, outputs = running.finish(300)
    assert codes == [0], outputs
    assert load_file(training / "model" / TRAINED_ON_FILE)["contents"].shape == (130,)
    pack(training / "model", job.paths.processing_input("challenger") / "model.tar.gz")
    with pytest.raises(TallyError, match=r"the challenger was trained on 120 of the 120 test photos"):
        main(ARGUMENTS, job.paths)
