import io

import pytest

from local.display import LiveDisplay, PlainDisplay, make_display
from local.events import Event
from local.progress import worth_showing

EPOCH = (
    "epoch=3 train_loss=1.2345 train_accuracy=0.4321 validation_loss=1.1 validation_accuracy=0.45111 "
    "photos_per_second=210.53 lr=0.001 seconds=5 best_validation_accuracy=0.4511"
)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (EPOCH, "epoch 3, validation accuracy 0.4511, photos/s 210.5"),
        (f"trial 2: {EPOCH}", "trial 2: epoch 3, validation accuracy 0.4511, photos/s 210.5"),
        ("progress photos=1234/5000 photos_per_second=410", "photos 1234/5000 photos/s 410"),
        ("trial 1: lr=0.00125 dropout=0.4", "trial 1: lr=0.00125 dropout=0.4"),
        ("trial 1 completed: best_validation_accuracy=0.66", "trial 1: completed: best_validation_accuracy=0.66"),
        ("warning: class 3 is empty", "warning: class 3 is empty"),
        ("epochs=8 train_photos=1149 ranks=1", None),
        ("W1120 torch/distributed/run.py:803] something long", None),
    ],
)
def test_only_lines_worth_showing_are_shown_and_those_in_short(line, shown):
    assert worth_showing(line) == shown


def plain(*events: Event) -> list[str]:
    stream = io.StringIO()
    with PlainDisplay(stream) as display:
        for event in events:
            display.listen(event)
    return [line.split("] ", 1)[1] for line in stream.getvalue().splitlines()]


def test_plain_output_is_one_line_per_event():
    assert plain(
        Event("started", "Train"),
        Event("progress", "Train", EPOCH),
        Event("succeeded", "Train", seconds=12.34),
        Event("succeeded", "Preprocess", cached=True, seconds=0.01),
        Event("failed", "Tune", "no trial succeeded", seconds=3.0),
        Event("skipped", "Deploy"),
    ) == [
        "Train: executing",
        "Train: epoch 3, validation accuracy 0.4511, photos/s 210.5",
        "Train: succeeded in 12.3 s",
        "Preprocess: cached in 0.0 s",
        "Tune: failed in 3.0 s: no trial succeeded",
        "Deploy: not reached",
    ]


def test_counting_lines_are_not_repeated_every_two_seconds():
    lines = plain(*(Event("progress", "Preprocess", f"progress photos={n}/9 photos_per_second=1") for n in range(9)))
    assert lines == ["Preprocess: photos 0/9 photos/s 1"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_table_with_the_last_line_of_each_step(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    with make_display(stream) as display:
        assert isinstance(display, LiveDisplay)
        display.expect(["Preprocess", "Train"])
        display.listen(Event("started", "Train"))
        display.listen(Event("progress", "Train", EPOCH))
        display.listen(Event("succeeded", "Preprocess", cached=True, seconds=0.2))
        display.listen(Event("note", "Train", "asks for 8 instances"))
    text = stream.getvalue()
    assert "epoch 3, validation accuracy 0.4511" in text
    assert "Train: asks for 8 instances" in text
    assert "cached" in text


def test_a_pipe_gets_plain_lines():
    assert isinstance(make_display(io.StringIO()), PlainDisplay)
