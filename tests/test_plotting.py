"""Pictures and animations: what they show, how large they are, and what they refuse."""

import dataclasses
import io

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import energyam as eam
from energyam.plotting import animate, animate_landscape, chains, show_landscape, show_patterns, show_recall
from energyam.plotting.figures import rendered
from energyam.plotting.pixels import GAP, GREYS, as_grid, as_pictures, shades

SHAPE = (12, 9)
D = 108


@pytest.fixture(scope="module")
def patterns():
    return jr.rademacher(jr.key(0), (40, D), dtype=jnp.int8)


@pytest.fixture(scope="module")
def batch(patterns):
    queries = eam.datasets.flip_bits(patterns[:7], 0.2, key=jr.key(1))
    return eam.recall(eam.ExponentialDenseAM(patterns, 1.0), queries, key=jr.key(2))


@pytest.fixture(scope="module")
def single(batch):
    return jax.tree.map(lambda leaf: leaf[0], batch)


def decoded(gif):
    image = Image.open(io.BytesIO(gif))
    frames = []
    for i in range(image.n_frames):
        image.seek(i)
        frames.append(np.asarray(image.convert("RGB")))
    return np.stack(frames), image


def test_shades_of_binary_states_are_black_and_white():
    assert GREYS[shades(np.array([-1.0, 1.0]))].tolist() == [[0] * 3, [255] * 3]
    assert len(set(shades(np.linspace(-3, 3, 7)))) == 7
    assert len(set(shades(np.zeros(3)))) == 1


def test_a_grid_holds_every_picture_once_in_reading_order():
    pictures = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((3, 4), np.uint8)
    grid = as_grid(pictures, columns=2)
    assert grid.shape == (3 * 4 + 1, 2 * 5 + 1)
    assert grid[1, 1] == 0 and grid[1, 6] == 1 and grid[5, 1] == 2 and grid[9, 1] == 4
    assert (grid[::4] == GAP).all() and (grid[:, ::5] == GAP).all() and (grid[9:, 6:] == GAP).all()


def test_pictures_take_states_and_pictures_alike(patterns):
    as_states = as_pictures("patterns", patterns, SHAPE)
    np.testing.assert_array_equal(as_pictures("patterns", as_states, SHAPE), as_states)
    assert as_pictures("patterns", np.ones((3, 16))).shape == (3, 4, 4)


def test_the_last_frame_of_an_animation_is_the_answer(single):
    animation = animate(single, SHAPE, every=10)
    last = int(np.flatnonzero(np.asarray(single.record.indices).ravel() >= 0).max()) + 1
    assert len(animation.frames) == -(-last // 10) + 1
    times = animation.frames.shape[1] // 14
    pixels = animation.frames[-1][times : 13 * times : times, times : 10 * times : times]
    shown = animation.palette[pixels][..., 0]
    np.testing.assert_array_equal(np.where(shown > 127, 1, -1).ravel(), single.state)


def test_a_gif_decodes_to_its_frames_and_rests_at_the_end(batch):
    animation = animate(batch, SHAPE, every=10)
    gif = animation.gif()
    frames, image = decoded(gif)
    distinct = np.concatenate([[True], (np.diff(animation.frames.astype(int), axis=0) != 0).any((1, 2))])
    np.testing.assert_array_equal(frames, animation.palette[animation.frames[distinct]])
    assert image.info["loop"] == 0 and image.info["duration"] >= 1800


def test_the_curve_is_uncovered_from_left_to_right(single):
    animation = animate(single, SHAPE, every=10)
    panels = animation.palette[animation.frames][:, :, 11 * 18 :].astype(int)
    red = (panels[..., 0] - panels[..., 2] > 80).sum(axis=(1, 2))
    assert red[0] < 20 and red[-1] > 200 and (np.diff(red) >= 0).all()


def test_a_recall_of_no_steps_is_one_frame(patterns):
    result = eam.recall(eam.CHN(patterns), patterns[0], eam.Synchronous(), max_steps=0)
    animation = animate(result, SHAPE)
    assert len(animation.frames) == 1 and animation.gif() and len(show_recall(result, SHAPE).axes) == 2


def test_a_film_of_one_frame_shows_its_energy_as_a_dot():
    shown = animate(np.ones((1, 1, 16)), energies=np.full((1, 1), 2.0))
    (pixels,) = shown.palette[shown.frames].astype(int)
    assert 10 < (pixels[..., 0] - pixels[..., 2] > 40).sum() < 80


def test_an_animation_ends_with_the_last_change_and_has_about_sixty_frames(batch):
    shown = animate(batch, SHAPE).frames
    states = shown[:, :, : shown.shape[2] - 250]
    assert (states[-1] != states[-2]).any() and 30 < len(shown) <= 61
    last = int(np.flatnonzero((np.asarray(batch.record.indices).reshape(7, -1) >= 0).any(0)).max()) + 1
    assert len(animate(batch, SHAPE, every=1).frames) <= 100 and last <= batch.energies.shape[-1] - D


def test_gradient_descent_is_drawn_step_by_step(getkey):
    memory = eam.ModernHopfield(jr.normal(getkey(), (4, 16)), 2.0)
    result = eam.recall(memory, jr.normal(getkey(), (16,)), eam.GradientDescent(0.1), max_steps=20)
    assert len(animate(result).frames) == 21


def test_what_stands_beside_an_animation_stands_still(single, patterns):
    shown = animate(single, SHAPE, every=40, beside=patterns[0], columns=2).frames
    times = shown.shape[1] // 14
    still = shown[:, : 13 * times, 10 * times : 20 * times]
    assert (still == still[:1]).all() and (shown[0] != shown[-1]).any()


def test_columns_of_an_animation_have_their_labels(batch):
    states, labels = batch.frames(10), ["first", "", "a long name\nfor this", "δ"]
    plain = animate(states, SHAPE, columns=4)
    shown = animate(states, SHAPE, columns=4, labels=labels)
    height = shown.frames.shape[1] - plain.frames.shape[1]
    np.testing.assert_array_equal(shown.frames[:, height:], plain.frames)
    above = shown.palette[shown.frames[:, :height]].astype(int).sum(axis=-1)
    assert 20 < height < 40 and (above == above[:1]).all() and len(shown.gif()) > 0
    dark = np.array_split((above[0] < 600).any(axis=0), 4, axis=0)
    assert [bool(column.any()) for column in dark] == [True, False, True, True]
    for column in (dark[0], dark[2], dark[3]):
        ends = np.flatnonzero(column)[[0, -1]]
        assert abs(ends.mean() - len(column) / 2) < 4 and 0 < ends[0] and ends[1] < len(column) - 1
    beside = animate(batch, SHAPE, every=10, columns=4, labels=list("abcd"))  # a curve, and one line
    assert (beside.palette[beside.frames[0]][:, :10] < 100).any()
    assert animate(states, SHAPE, columns=4, labels=list("abcd")).frames.shape[1] < shown.frames.shape[1]


def test_rows_and_columns_have_their_names_and_numbers_a_bar(patterns):
    figure = show_patterns(patterns[:6], SHAPE, columns=["a", "b", "c"], rows=["first", "second"])
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]
    assert list(ax.get_yticks()) == [6.5, 19.5] and figure._repr_png_()
    bar = show_patterns(0.1 * jnp.arange(-108.0, 108.0).reshape(2, D), SHAPE).axes[1]
    assert bar.get_ylim() == pytest.approx((-10.8, 10.8))


def test_energies_of_many_decades_are_drawn_by_their_logarithm(patterns):
    query = eam.datasets.flip_bits(patterns[0], 0.2, key=jr.key(1))
    for n, title in ((3, "energy"), (30, "energy (log axis)")):
        result = eam.recall(eam.PolynomialDenseAM(patterns, n), query, key=jr.key(2))
        ax = show_recall(result, SHAPE).axes[-1]
        heights = ax.lines[0].get_ydata()
        assert ax.get_title() == title
        assert heights[-1] < heights[0] and (np.diff(heights) <= 1e-6 * abs(heights[0])).all()
        assert np.ptp(heights) > 0.1 * abs(heights[-1])  # it falls visibly
    assert heights[-1] == pytest.approx(-30 * np.log10(D) + np.log10(30), rel=1e-3)
    assert {ax.yaxis.get_major_formatter()(height) for height in (-40, 3)} == {"$-10^{40}$", "$-10^{-3}$"}


def test_ticks_of_energies_of_both_signs_are_powers_of_ten(patterns):
    result = eam.recall(eam.CHN(patterns), patterns[0], max_steps=1, key=jr.key(0))
    steps = result.energies.shape[-1]
    falling = dataclasses.replace(
        result, energies=jnp.linspace(1, -1, steps) * 1e35, initial_energy=jnp.array(2e35)
    )
    ax = show_recall(falling, SHAPE).axes[-1]
    assert [ax.yaxis.get_major_formatter()(height) for height in (-30, 0, 2)] == [
        "$-10^{30}$",
        "0",
        "$10^{2}$",
    ]
    assert ax.get_title() == "energy (log axis)"


def test_long_recalls_and_large_batches_are_thinned():
    states = np.random.default_rng(0).choice([-1, 1], (101, 110, 16))
    animation = animate(states, (4, 4))
    assert len(animation.frames) == 100 and (animation.frames[0] != GAP).sum() == 100 * 16 * 25
    few = animate(states[:1, :5], energies=np.zeros((1, 5)))
    assert len(few.frames) == 5 and few.frames.shape[2] > animate(states[:1, :5]).frames.shape[2]


def test_a_recall_without_a_record_has_no_frames(patterns):
    result = eam.recall(eam.CHN(patterns), patterns[0], eam.Synchronous(), record=False)
    for draw in (animate, show_recall):
        with pytest.raises(ValueError, match="record=False"):
            draw(result, SHAPE)
    assert len(show_recall(result, SHAPE, query=patterns[0]).axes) == 2


def test_hundred_glyph_recalls_make_an_animation_under_a_megabyte():
    glyphs = eam.datasets.glyphs()[:100].reshape(100, 1, -1)
    rng = np.random.default_rng(0)
    wrong, visited = rng.random((100, 1, 2304)) < 0.25, rng.permutation(2304) < 24 * np.arange(100)[:, None]
    states = np.where(wrong & ~visited, -glyphs, glyphs)
    energies = (wrong & ~visited).sum(axis=-1).astype(float)
    assert len(animate(states, (48, 48), energies=energies).gif()) < 1e6


def test_a_network_without_an_energy_is_animated_without_a_curve(patterns):
    weights = eam.sequence_weights(patterns[:3], jnp.roll(jnp.eye(3), 1, axis=1), 3.0)
    result = eam.recall(eam.SequenceNetwork(weights), patterns[0], max_steps=4)
    assert animate(result, SHAPE, every=1).frames.shape == (5, 14 * 18, 11 * 18)
    assert len(show_recall(result, SHAPE).axes) == 2


def test_notebooks_show_animations_and_figures(single, patterns):
    assert animate(single, SHAPE)._repr_html_().startswith('<img src="data:image/gif;base64,')
    assert show_patterns(patterns, SHAPE)._repr_png_().startswith(b"\x89PNG")


def test_figures_of_a_recall(batch, single, patterns, tmp_path):
    assert isinstance(show_recall(single, SHAPE), Figure)
    assert [ax.get_title() for ax in show_recall(batch, SHAPE, original=patterns[:7]).axes] == [
        "query",
        "recalled",
        "original",
        "energy",
    ]
    assert len(show_recall(batch.state, SHAPE, query=patterns[:7]).axes) == 2
    path = tmp_path / "figure.png"
    show_patterns(patterns, SHAPE, title="Stored", columns=8).savefig(path)
    assert path.stat().st_size > 1000


def test_landscapes_of_memories_and_plain_energies(getkey):
    memory = eam.ModernHopfield(jnp.array([[1.0, 0.5], [-1.0, 0.7], [0.0, -1.2]]), 4.0)
    starts = jr.uniform(getkey(), (3, 2), minval=-1.5, maxval=1.5)
    result = eam.recall(memory, starts, eam.GradientDescent(0.2), max_steps=30)
    ax = show_landscape(memory, result, resolution=32).axes[0]
    ends = np.stack([line.get_xydata()[-1] for line in ax.lines[1:6:2]])
    np.testing.assert_allclose(ends, result.state, rtol=1e-6)
    single = eam.recall(memory, starts[0], max_steps=3)
    assert len(show_landscape(lambda x: jnp.sum(x**2), single, (0, 1), resolution=8).axes[0].lines) == 2


def test_a_landscape_is_that_of_what_an_object_is_now():
    class Bowl:
        depth = 1.0

        def energy(self, x):
            return self.depth * jnp.sum(x**2)

    bowl, tops = Bowl(), []
    for bowl.depth in (1.0, 3.0):
        tops.append(show_landscape(bowl, limits=(0, 1), resolution=8).axes[0].collections[0].zmax)
    assert tops[1] == pytest.approx(3 * tops[0])


def test_states_roll_down_a_landscape(getkey):
    memory = eam.ModernHopfield(jnp.array([[1.0, 0.5], [-1.0, 0.7], [0.0, -1.2]]), 4.0)
    starts = jnp.array([[1.5, 1.5], [-0.2, -0.4]])
    result = eam.recall(memory, starts, eam.GradientDescent(0.1), max_steps=200)
    rolling = animate_landscape(memory, result, resolution=32)
    pixels = rolling.palette[rolling.frames].astype(int)
    red = pixels[..., 0] - pixels[..., 2] > 80
    assert 30 < len(rolling.frames) <= 60 and rolling.gif()
    assert (np.diff(red.sum(axis=(1, 2))) >= -20).all() and red[-1].sum() > 2 * red[0].sum() > 100
    still = show_landscape(memory, resolution=32)
    rendered(still)  # which lays it out
    for states, frame in ((starts, red[0]), (result.state, red[-1])):
        for x, y in still.axes[0].transData.transform(states).round().astype(int):
            assert frame[frame.shape[0] - y, x]
    assert len(animate_landscape(memory, np.ones((5, 2)), resolution=8).frames) == 1


def test_video_needs_ffmpeg_and_says_so(single, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="ffmpeg, which is not installed"):
        animate(single, SHAPE).save(tmp_path / "a.mp4")


def test_ffmpeg_is_given_every_pixel(single, tmp_path, monkeypatch):
    program = tmp_path / "ffmpeg"
    program.write_text('#!/bin/sh\nfor last; do :; done\n/bin/cat > "$last"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    animation = animate(single, (9, 12), every=10)
    animation.save(tmp_path / "a.mp4")
    F, height, width = animation.frames.shape
    even = (height + height % 2) * (width + width % 2)
    assert (tmp_path / "a.mp4").stat().st_size == (F + animation.fps) * even * 3
    assert "<video" in animation.html5()
    program.write_text("#!/bin/sh\necho unknown encoder >&2\nexit 1\n")
    with pytest.raises(RuntimeError, match="unknown encoder"):
        animation.video(".webm")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, r: show_patterns(x), r"shape must be given as \(H, W\), as 108 pixels make no square"),
        (lambda x, r: show_patterns(x, (12, 8)), r"patterns must be \(..., 96\)"),
        (lambda x, r: show_patterns(x, 12), r"shape must be \(H, W\)"),
        (lambda x, r: show_patterns(x, (0, 12)), r"shape\[0\] must be an integer of at least 1"),
        (lambda x, r: show_patterns(x * jnp.nan, SHAPE), "patterns must be finite"),
        (lambda x, r: show_patterns(x, SHAPE, columns=0), "columns must be an integer"),
        (lambda x, r: show_patterns(x, SHAPE, columns=["a"], rows=["b"]), "rows must be 40 names.*got 1"),
        (lambda x, r: show_patterns(x, SHAPE, columns="abc"), "columns must be a list of names or a number"),
        (lambda x, r: show_patterns(x, SHAPE, rows=3), "rows must be a list of names; got 3"),
        (lambda x, r: show_recall(x, SHAPE), "query must be given"),
        (lambda x, r: show_recall(r, SHAPE, original=x[:, :5]), r"original must be \(..., 108\)"),
        (lambda x, r: animate(r, SHAPE, every=0), "every must be an integer"),
        (lambda x, r: animate(r, SHAPE, fps=0), "fps must be an integer"),
        (lambda x, r: animate(x[None], SHAPE, labels=["a", "b"]), "labels must be 1 name,.*got 2"),
        (lambda x, r: animate(r, SHAPE, labels="a"), "labels must be a list of names; got 'a'"),
        (lambda x, r: animate(r, SHAPE, energies=x[0]), "energies must be left out"),
        (lambda x, r: animate(x, SHAPE, energies=x[0]), "energies must be"),
        (lambda x, r: animate(x[None, None], SHAPE), r"result must be \(F, D\) or \(B, F, D\)"),
        (lambda x, r: animate(r, SHAPE).save("a.png"), "path must end in .gif, .mp4 or .webm"),
        (lambda x, r: animate(r, SHAPE).video(".avi"), "suffix must be one of"),
        (lambda x, r: show_landscape(eam.CHN(x[:, :2])), "memory must have continuous neurons"),
        (lambda x, r: show_landscape(eam.ModernHopfield(x, 1.0)), "memory must have D = 2 neurons"),
        (lambda x, r: show_landscape(3), "memory must be an energy"),
        (lambda x, r: show_landscape(jnp.sum, limits=(1, -1)), "limits must be"),
        (lambda x, r: show_landscape(jnp.sum, x), r"paths must be \(..., F, 2\)"),
        (lambda x, r: animate_landscape(jnp.sum, None), "paths must be a Recall or states; got None"),
        (lambda x, r: animate_landscape(jnp.sum, x), r"paths must be \(..., F, 2\)"),
        (lambda x, r: animate_landscape(jnp.sum, np.ones((3, 2)), fps=0), "fps must be an integer"),
    ],
)
def test_bad_input_is_named(call, message, patterns, single):
    with pytest.raises(ValueError, match=message):
        call(patterns, single)


def test_chains_are_drawn_with_what_they_remember_and_how_they_agree():
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(6, 200))
    for t in range(1, 200):
        steps[:, t] += 0.8 * steps[:, t - 1]
    for apart in (0.0, 5.0):
        values = steps + apart * np.arange(6)[:, None]
        along, memory, agreement = chains(values.reshape(2, 3, 200), "m").axes
        assert along.get_title() == "m of 6 chains" and len(along.lines) == 6
        drawn, correlation = memory.lines[1].get_ydata(), agreement.lines[1].get_ydata()
        assert drawn[0] == 1 and (drawn[3] > 0.9 if apart else abs(drawn[3] - 0.8**3) < 0.15)
        np.testing.assert_allclose(correlation[-1], eam.evaluation.split_rhat(values))
        assert f"{correlation[-1]:.3f}" in agreement.get_title()
        (worth,) = memory.texts
        assert f"{eam.evaluation.effective_sample_size(values):,.0f} of 1,200" in worth.get_text()
    memory = eam.CHN(jr.rademacher(jr.key(0), (2, 16), dtype=jnp.int8))
    found = eam.sample(memory, jnp.ones((3, 16)), eam.HeatBath(8.0), 20, key=jr.key(1))
    assert chains(found).axes[0].get_title() == "energy of 3 chains"
    assert len(chains(rng.normal(size=(300, 10))).axes[0].lines) == 100
    assert chains(np.ones((2, 9))).axes  # nothing varies
    with pytest.raises(ValueError, match="samples must hold at least 8 samples of each chain"):
        chains(np.ones((2, 5)))
    with pytest.raises(ValueError, match="samples must be finite"):
        chains(np.full((2, 9), np.nan))
    with pytest.raises(ValueError, match="name must be a text"):
        chains(np.ones((2, 9)), 3)
