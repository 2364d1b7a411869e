from __future__ import annotations

from pathlib import Path

import pytest

from ringrift_loop.errors import DataError
from ringrift_loop.training.progress import PROGRESS, Losses, ProgressFile, read_progress


def test_a_long_curve_is_thinned_and_ends_with_its_last_point(tmp_path: Path) -> None:
    file = ProgressFile(tmp_path, 1000, step=0)
    for step in range(1, 1001):
        if step % 10 == 0:
            file.validated(Losses(step, 2.0, 1.0, 1.0))
        file.write(Losses(step, 3.0, 2.0, 1.0), samples_per_second=100.0, left_s=1000.0 - step)
    told = read_progress(tmp_path)
    assert told is not None
    assert 100 <= len(told.train) <= 200
    assert [told.train[-1].step, told.validation[-1].step, told.left_s] == [1000, 1000, 0.0]
    assert [point.step for point in told.train] == sorted(point.step for point in told.train)
    assert (tmp_path / PROGRESS).stat().st_size < 1 << 15


def test_there_is_none_before_the_first_line(tmp_path: Path) -> None:
    assert read_progress(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{}", '{"v": 2}', '{"v": 1, "step": -1, "steps": 4}'])
def test_what_no_training_wrote_is_refused_and_written_over(tmp_path: Path, text: str) -> None:
    (tmp_path / PROGRESS).write_text(text)
    with pytest.raises(DataError):
        read_progress(tmp_path)
    ProgressFile(tmp_path, 4, step=0).write(Losses(1, 3.0, 2.0, 1.0), samples_per_second=1.0, left_s=3.0)
    assert read_progress(tmp_path) is not None


def test_the_curve_of_another_schedule_is_forgotten(tmp_path: Path) -> None:
    ProgressFile(tmp_path, 4, step=0).write(Losses(1, 3.0, 2.0, 1.0), samples_per_second=1.0, left_s=3.0)
    ProgressFile(tmp_path, 8, step=4).write(Losses(5, 3.0, 2.0, 1.0), samples_per_second=1.0, left_s=3.0)
    told = read_progress(tmp_path)
    assert told is not None
    assert [point.step for point in told.train] == [5]


def test_a_full_disk_does_not_end_the_training(tmp_path: Path) -> None:
    gone = ProgressFile(tmp_path / "gone" / "away", 4, step=0)
    (tmp_path / "gone").write_text("a file where the folder should be")
    gone.write(Losses(1, 3.0, 2.0, 1.0), samples_per_second=1.0, left_s=3.0)
