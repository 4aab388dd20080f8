"""What training shows: the bar within an epoch, and the line after it."""

import pytest

from tfvid.training.bar import Bar


def epoch(bar: Bar, number: int, batches: int):
    bar.on_epoch_begin(number)
    for batch in range(batches):
        bar.on_train_batch_end(batch, {"loss": 0.5, "accuracy": 0.25, "top_5": 1.0})
    bar.on_epoch_end(number, {"loss": 0.5, "accuracy": 0.25, "top_5": 1.0, "val_loss": 2.0, "val_accuracy": 0.125})


def test_the_bar_counts_batches_with_loss_and_accuracy(capsys):
    bar = Bar(steps=8, epochs=2, bar=True)
    bar.on_epoch_begin(0)
    for batch in range(4):
        bar.on_train_batch_end(batch, {"loss": 0.5, "accuracy": 0.25})
    bar._bar.refresh()
    last = capsys.readouterr().err.split("\r")[-1]
    assert "epoch 1 of 2" in last and "50%" in last and "4/8" in last
    assert "loss=0.500" in last and "accuracy=0.250" in last
    assert "<" in last and "?" not in last  # the time left is known
    bar.close()


def test_after_an_epoch_one_line_has_its_results(capsys):
    epoch(Bar(steps=2, epochs=3, bar=True), 1, 2)
    out = capsys.readouterr().out
    assert out.startswith(
        "epoch 2 of 3: loss 0.500, accuracy 0.250, validation loss 2.000, validation accuracy 0.125 ("
    )
    assert out.count("\n") == 1


@pytest.mark.parametrize("bar", [False, None])  # None: pytest's standard error output is no terminal
def test_without_a_terminal_there_is_only_the_line(capsys, bar):
    epoch(Bar(steps=2, epochs=1, bar=bar), 0, 2)
    printed = capsys.readouterr()
    assert printed.err == "" and printed.out.count("\n") == 1


def test_only_the_first_epoch_begins_where_an_earlier_start_stopped(capsys):
    bar = Bar(steps=8, epochs=2, bar=True, seen=6)
    for number, done in ((0, 6), (1, 0)):
        bar.on_epoch_begin(number)
        assert bar._bar.n == done
        bar.close()
    assert "6/8" in capsys.readouterr().err
