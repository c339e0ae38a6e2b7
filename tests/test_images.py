import numpy as np
import pytest
from PIL import Image

from gan.common.errors import UserError
from gan.drawing import images
from gan.drawing.gif import write_gif


def test_ends_and_middle_of_the_range():
    found = images.to_uint8([-1.0, 0.0, 1.0, 1.5, -2.0])
    assert found.tolist() == [0, 128, 255, 255, 0]


def test_every_shade_survives_the_way_there_and_back():
    shades = np.arange(256)
    np.testing.assert_array_equal(images.to_uint8(shades / 127.5 - 1), shades)


def test_grid_puts_images_row_by_row():
    numbered = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 4, 1), np.uint8)
    sheet = images.grid(numbered, columns=3)
    assert sheet.shape == (2 * 5 + 2, 3 * 6 + 2, 1)
    assert [sheet[2, 2 + 6 * column, 0] for column in range(3)] == [0, 1, 2]
    assert [sheet[7, 2 + 6 * column, 0] for column in range(3)] == [3, 4, images.BACKGROUND]


def test_sheet_is_enlarged_without_blur(tmp_path):
    random = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)
    sheet, small = images.sheet(random), images.grid(random)
    factor = len(sheet) // len(small)
    assert factor > 1
    np.testing.assert_array_equal(sheet[::factor, ::factor], small)
    images.write_png(tmp_path / "a.png", sheet)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), sheet)
    np.testing.assert_array_equal(images.read_png(tmp_path / "a.png"), sheet)


@pytest.mark.parametrize("channels", [1, 3])
def test_gif_frames_are_the_frames(tmp_path, channels):
    shades = np.array([0, 85, 170, 254, 255] if channels == 3 else range(256), np.uint8)
    random = np.random.default_rng(0)
    frames = [random.choice(shades, (40, 30) if channels == 1 else (40, 30, 3)) for _ in range(5)]
    write_gif(tmp_path / "a.gif", iter(frames), [0.1, 0.1, 0.1, 0.1, 2.0], loop=3)
    gif = Image.open(tmp_path / "a.gif")
    assert gif.n_frames == 5 and gif.info["loop"] == 2  # shown once, then twice more
    for index, frame in enumerate(frames):
        gif.seek(index)
        assert gif.info["duration"] == (2000 if index == 4 else 100)
        np.testing.assert_array_equal(
            np.asarray(gif.convert("L" if channels == 1 else "RGB")), frame)


def test_failed_gif_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.gif"
    write_gif(path, [np.zeros((4, 4), np.uint8)], [1])
    before = path.read_bytes()

    def frames():
        yield np.zeros((4, 4), np.uint8)
        raise UserError("broken picture")

    with pytest.raises(UserError, match="broken picture"):
        write_gif(path, frames(), [1, 1])
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.gif"]


def test_broken_picture_is_named(tmp_path):
    path = tmp_path / "epoch_0001.png"
    images.write_png(path, np.zeros((9, 9, 1), np.uint8))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match="epoch_0001.png: expected a PNG picture"):
        images.read_png(path)
