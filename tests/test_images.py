import numpy as np
import pytest
from PIL import Image

from gan.common.errors import UserError
from gan.drawing import images


def test_ends_and_middle_of_the_range():
    found = images.to_uint8([-1.0, 0.0, 1.0, 1.5, -2.0])
    assert found.tolist() == [0, 128, 255, 255, 0]


def test_every_shade_survives_the_way_there_and_back():
    shades = np.arange(256)
    np.testing.assert_array_equal(images.to_uint8(shades / 127.5 - 1), shades)


def test_grid_puts_images_row_by_row():
    numbered = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 4, 1), np.uint8)
    sheet = images.tile(numbered, columns=3)
    assert sheet.shape == (2 * 5 + 2, 3 * 6 + 2, 1)
    assert [sheet[2, 2 + 6 * column, 0] for column in range(3)] == [0, 1, 2]
    assert [sheet[7, 2 + 6 * column, 0] for column in range(3)] == [3, 4, images.BACKGROUND]


def test_sheet_is_enlarged_without_blur(tmp_path):
    random = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)
    sheet, small = images.image_grid(random), images.tile(random)
    factor = len(sheet) // len(small)
    assert factor > 1
    np.testing.assert_array_equal(sheet[::factor, ::factor], small)
    images.write_png(tmp_path / "a.png", sheet)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), sheet)
    np.testing.assert_array_equal(images.read_png(tmp_path / "a.png"), sheet)


def test_broken_picture_is_named(tmp_path):
    path = tmp_path / "epoch_0001.png"
    images.write_png(path, np.zeros((9, 9, 1), np.uint8))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match="epoch_0001.png: expected a PNG picture"):
        images.read_png(path)
