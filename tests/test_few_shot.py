"""Few-shot: pooling and reads against their definitions, classes kept apart, and bad input named."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

import energyam as eam
from energyam.learning import storkey_step
from energyam.nn import (
    AttractorRead,
    ConvEmbedding,
    CosineRead,
    DotRead,
    EpisodeLoss,
    FewShotClassifier,
    NearestRead,
    PrototypeRead,
    SettledRead,
    episode_accuracy,
    train,
)
from energyam.nn.few_shot import _max_pool

D, S, N = 8, 6, 3
READS = {
    "dot": DotRead(),
    "cosine": CosineRead(),
    "storkey": AttractorRead(D),
    "subtracting": AttractorRead(D, "subtracting"),
    "hopfield": AttractorRead(D, "hopfield", num_inner=2),
    "norm": AttractorRead(D, "none"),
    "prototypes": PrototypeRead(),
    "nearest": NearestRead(),
    "settled": SettledRead(CosineRead(), num_steps=2),
}


# In one program, where many small ones would be compiled, one for each operation.
read = eqx.filter_jit(lambda read, *given: read(*given))
weights_of = eqx.filter_jit(lambda read, support: read.weights(support))
step = jax.jit(storkey_step)
sample_episode = eqx.filter_jit(eam.datasets.sample_episode)


@pytest.fixture(scope="module")
def embedded():
    """A support set (6, 8) of three classes twice each, its membership (6, 3), and a query (8,)."""
    support_key, query_key = jr.split(jr.key(0))
    member = np.arange(S)[:, None] % N == np.arange(N)[None]
    return np.asarray(jr.normal(support_key, (S, D))), member, np.asarray(jr.normal(query_key, (D,)))


@pytest.fixture(scope="module")
def classifier():
    return FewShotClassifier(ConvEmbedding(D, key=jr.key(1)), AttractorRead(D))


@pytest.fixture(scope="module")
def pixels():
    """A classifier that embeds a picture by one linear layer: quick to train."""
    layers = [eqx.nn.Lambda(jnp.ravel), eqx.nn.Linear(28 * 28, D, key=jr.key(1))]
    return FewShotClassifier(eqx.nn.Sequential(layers), CosineRead())


@pytest.fixture(scope="module")
def bars():
    """Six classes of bars (6, 4, 28, 28), easy to tell apart; drawers differ by noise."""
    rows = np.arange(28)[None, :, None] // 4 == np.arange(6)[:, None, None]
    noise = np.asarray(jr.normal(jr.key(2), (6, 4, 28, 28)))
    return jnp.asarray(np.clip(rows[:, None] + 0.05 * noise, 0, 1), float)


@pytest.mark.parametrize("size", [28, 14, 7, 4, 2, 1])
def test_pooling_is_the_largest_of_each_window(size):
    maps = jr.normal(jr.key(size), (1, size, size, 3))
    window, stride = (1, 3, 3, 1), (1, 2, 2, 1)
    expected = jax.lax.reduce_window(maps, -jnp.inf, jax.lax.max, window, stride, "SAME")
    assert jnp.array_equal(_max_pool(maps), expected)


def test_the_embedding_is_one_vector_a_picture(classifier):
    pictures = jr.uniform(jr.key(3), (2, 28, 28))
    embedding = eqx.filter_jit(eqx.filter_vmap(classifier.embed))(pictures)
    assert embedding.shape == (2, D) and embedding.min() == 0
    np.testing.assert_allclose(read(classifier.embed, pictures[1]), embedding[1], atol=1e-5)


def test_class_potentials_are_the_attention_read_of_labels(embedded):
    support, member, query = embedded
    memory = eam.KeyValueMemory(support, member.astype(np.float32), eam.LogSumExp(1.0))
    chances = jax.nn.softmax(read(DotRead(), support, member, query))
    np.testing.assert_allclose(chances, read(memory, query), atol=1e-6)


def test_reads_are_their_formulas(embedded):
    support, member, query = embedded
    names = member.argmax(axis=1)
    support, query = support.astype(np.float64), query.astype(np.float64)
    cosines = support @ query / (np.linalg.norm(support, axis=1) * np.linalg.norm(query))
    of_class = lambda values: [np.logaddexp.reduce(values[names == c]) for c in range(N)]  # noqa: E731
    np.testing.assert_allclose(read(CosineRead(7.0), *embedded), of_class(7 * cosines), rtol=1e-5)
    largest = [cosines[names == c].max() for c in range(N)]
    np.testing.assert_allclose(read(NearestRead(), *embedded), largest, rtol=1e-5)
    distances = [np.sum((support[names == c].mean(0) - query) ** 2) for c in range(N)]
    np.testing.assert_allclose(read(PrototypeRead(), *embedded), -np.array(distances), rtol=1e-5)


def test_the_attractor_memory_is_storkeys_rule_and_one_normed_step(embedded):
    support, member, query = embedded
    attractor = AttractorRead(D)
    normed = jax.jit(lambda query: jax.nn.relu(attractor.norm(query)))
    weights = np.zeros((D, D), np.float32)
    for pattern in support:
        weights = np.asarray(step(weights, pattern, rate=1 / (S * D)))
    np.testing.assert_allclose(weights_of(attractor, support), weights, atol=1e-6)
    at_large = weights_of(AttractorRead(D, rate=0.5), support[:1])
    np.testing.assert_allclose(at_large, step(np.zeros((D, D)), support[0], rate=0.5), atol=1e-6)
    recalled = normed(query + weights @ query)
    found = read(attractor, *embedded)
    np.testing.assert_allclose(found, read(DotRead(), support, member, recalled), rtol=1e-5)
    pull = eam.recall(eam.ModernHopfield(support, D**-0.5), query, max_steps=1).state
    hopfield = read(AttractorRead(D, "hopfield"), *embedded)
    wanted = read(DotRead(), support, member, normed(query + np.asarray(pull)))
    np.testing.assert_allclose(hopfield, wanted, rtol=1e-5)


def test_the_subtracting_memory_is_the_rule_of_its_docstring_and_opposes_storkeys(embedded):
    support, member, query = embedded
    weights = np.zeros((D, D))
    for x in np.asarray(support, float):
        hebb = weights + np.outer(x, x) / D
        h = hebb @ x
        weights = weights + (hebb - np.outer(h, x) - np.outer(x, h)) / (S * D)
    attractor = AttractorRead(D, "subtracting")
    found = np.asarray(weights_of(attractor, support))
    np.testing.assert_allclose(found, weights, atol=1e-6)
    assert not np.allclose(found, -weights, atol=1e-3)  # nor would the other sign pass
    recalled = jax.nn.relu(attractor.norm(jnp.asarray(query + weights @ query, float)))
    wanted = read(DotRead(), support, member, recalled)
    np.testing.assert_allclose(read(attractor, *embedded), wanted, rtol=1e-4)
    assert query @ weights @ query < 0


def test_the_subtracting_memory_pulls_against_storkeys_in_the_size_of_the_network():
    support_key, query_key = jr.split(jr.key(1))
    support, query = jax.nn.relu(jr.normal(support_key, (5, 64))), jax.nn.relu(jr.normal(query_key, (64,)))
    query = np.asarray(query)
    memories = (AttractorRead(64, memory) for memory in ("subtracting", "storkey"))
    pulls = [np.asarray(weights_of(memory, support)) @ query for memory in memories]
    cosine = pulls[0] @ pulls[1] / (np.linalg.norm(pulls[0]) * np.linalg.norm(pulls[1]))
    assert cosine < -0.95 and pulls[0] @ query < 0 < pulls[1] @ query


def test_a_settled_query_is_what_a_modern_hopfield_memory_of_the_support_retrieves(embedded):
    support, member, query = embedded
    unit = support / np.linalg.norm(support, axis=1, keepdims=True)
    start = query / np.linalg.norm(query)
    settled = eam.recall(eam.ModernHopfield(unit, 4.0), start, max_steps=2).state
    found = read(SettledRead(DotRead(), beta=4.0, share=1.0, num_steps=2), *embedded)
    np.testing.assert_allclose(found, read(DotRead(), unit, member, settled), rtol=1e-5)
    unsettled = read(SettledRead(DotRead(), share=0.0), *embedded)
    np.testing.assert_allclose(unsettled, read(DotRead(), unit, member, start), rtol=1e-5)
    assert not np.allclose(unsettled, found, rtol=1e-2)


@pytest.mark.parametrize("name", READS)
def test_reads_do_not_depend_on_the_order_of_classes_and_have_finite_gradients(embedded, name):
    support, member, query = embedded
    logits, order = np.asarray(read(READS[name], *embedded)), np.array([2, 0, 1])
    found = read(READS[name], support, member[:, order], query)
    np.testing.assert_allclose(found, logits[order], rtol=1e-5)

    @jax.jit
    def gradients(scale):
        def loss(support, query):
            return jax.nn.log_softmax(READS[name](support, jnp.asarray(member), query).astype(jnp.float32))[0]

        def of(dtype):
            return jax.grad(loss, argnums=(0, 1))(
                (scale * support).astype(dtype), (scale * query).astype(dtype)
            )

        return of(jnp.float32), of(jnp.bfloat16)

    for scale in (0.0, 1.0, 30.0):  # a dead embedding too
        leaves = [np.asarray(leaf, np.float32) for leaf in jax.tree.leaves(gradients(scale))]
        assert all(np.isfinite(leaf).all() for leaf in leaves)


@pytest.mark.parametrize("kind", ["squared_error", "cross_entropy"])
def test_it_learns_to_tell_bars_apart(pixels, bars, kind):
    loss = EpisodeLoss(bars, kind, num_ways=3, num_episodes=2)
    options = {"every": 30, "progress": False, "key": jr.key(4)}
    trained = train(pixels, optax.adam(1e-2), loss, 60, **options)
    assert trained.losses[-5:].mean() < 0.7 * trained.losses[:5].mean()
    accuracy = episode_accuracy(trained.model, bars, 40, num_ways=3, key=jr.key(5))
    assert accuracy.mean > 0.8
    assert accuracy.half_width == pytest.approx(1.96 * accuracy.std / 40**0.5)


def test_episodes_that_share_classes_have_the_loss_of_each_alone(pixels, bars):
    """With as many classes as ways, each shared episode is the one that is drawn, classes renamed."""
    shared = EpisodeLoss(bars, "cross_entropy", num_ways=6, num_queries=3, num_episodes=2, num_classes=6)
    key = jr.key(6)
    keys = jr.split(key, 2)
    episode = sample_episode(bars, 6, 1, 3, key=jr.fold_in(keys[0], 2))
    logits = read(pixels, episode.support, episode.labels, episode.queries, 6)
    expected = -jax.nn.log_softmax(logits)[jnp.arange(18), episode.answers].mean()
    np.testing.assert_allclose(read(shared, pixels, key), expected, rtol=1e-5)
    fewer = EpisodeLoss(bars, "cross_entropy", num_ways=3, num_queries=3, num_episodes=64, num_classes=6)
    alone = EpisodeLoss(bars, "cross_entropy", num_ways=3, num_queries=3, num_episodes=64)
    values = [[float(read(loss, pixels, jr.key(n))) for n in range(8)] for loss in (fewer, alone)]
    means, errors = np.mean(values, axis=1), np.std(values, axis=1) / 8**0.5
    assert abs(means[0] - means[1]) < 4 * np.hypot(*errors)


def test_accuracy_is_that_of_every_episode_by_itself(pixels, bars):
    keys = jr.split(jr.key(7), 30)
    right = []
    for key in keys:
        episode = sample_episode(bars, 3, 1, 2, key=key)
        said = np.asarray(read(pixels, episode.support, episode.labels, episode.queries, 3)).argmax(axis=1)
        right.append(np.mean(said == np.asarray(episode.answers)))
    found = episode_accuracy(pixels, bars, 30, num_ways=3, num_queries=2, key=jr.key(7))
    assert found.mean == pytest.approx(np.mean(right)) and found.std == pytest.approx(np.std(right), abs=1e-6)


def test_queries_are_corrupted_and_examples_are_not(pixels, bars):
    """With nothing but paper in the queries all classes are as likely; examples would be all alike."""
    blank = lambda key, picture: jnp.zeros_like(picture)  # noqa: E731
    nearest = FewShotClassifier(jnp.ravel, NearestRead())
    assert episode_accuracy(nearest, bars, 20, num_ways=3, key=jr.key(8)).mean == 1
    assert episode_accuracy(
        nearest, bars, 20, num_ways=3, corrupt=blank, key=jr.key(8)
    ).mean == pytest.approx(1 / 3)
    for shared in (None, 6):
        loss = EpisodeLoss(bars, num_ways=3, num_classes=shared, corrupt=blank)
        apart = read(loss, FewShotClassifier(jnp.ravel, CosineRead()), jr.key(9))
        assert float(apart) == pytest.approx(2 / 3)


def test_more_shots_are_a_larger_support_set(pixels, bars):
    support, labels, queries, _, _ = sample_episode(bars, 3, 2, key=jr.key(6))
    logits = read(pixels, support, labels, queries, 3)
    assert logits.shape == (3, 3)
    prototypes = FewShotClassifier(pixels.embed, PrototypeRead())
    forth = read(prototypes, support, labels, queries, 3)
    back = read(prototypes, support[::-1], labels[::-1], queries, 3)
    np.testing.assert_allclose(forth, back, rtol=1e-4)


PICTURES, LABELS = jnp.zeros((3, 28, 28)), jnp.arange(3)
BAD_CALLS = {
    "support must be": (jnp.zeros((3, 32, 32)), LABELS, PICTURES, 3),
    "support must be .* floats": (jnp.zeros((3, 28, 28), jnp.uint8), LABELS, PICTURES, 3),
    "queries": (PICTURES, LABELS, PICTURES[0], 3),
    "labels must lie in 0..2": (PICTURES, jnp.array([0, 1, 3]), PICTURES, 3),
    "name every class": (PICTURES, jnp.array([0, 1, 1]), PICTURES, 3),
    "labels must be .* integers": (PICTURES, jnp.array([0.0, 1, 2]), PICTURES, 3),
    "labels must be .*one for each picture": (PICTURES, jnp.arange(4), PICTURES, 3),
    "num_classes": (PICTURES, LABELS, PICTURES, 0),
}


@pytest.mark.parametrize("named", BAD_CALLS)
def test_bad_episodes_are_named(classifier, named):
    with pytest.raises(ValueError, match=named):
        classifier(*BAD_CALLS[named])


def test_bad_settings_are_named(classifier, bars):
    for named in ("num_ways", "num_shots", "num_queries", "num_episodes"):
        with pytest.raises(ValueError, match=named):
            EpisodeLoss(bars, **{named: 0})
        with pytest.raises(ValueError, match=named):
            episode_accuracy(classifier, bars, **{named: 0}, key=jr.key(0))
    for named, make in {
        "kind": lambda: EpisodeLoss(bars, "hinge"),
        "images": lambda: EpisodeLoss(bars[0]),
        "memory": lambda: AttractorRead(D, "elephant"),
        "rate": lambda: AttractorRead(D, rate=0.0),
        "num_inner": lambda: AttractorRead(D, num_inner=0),
        "size": lambda: ConvEmbedding(0, key=jr.key(0)),
        "beta": lambda: CosineRead(-1.0),
        "share": lambda: SettledRead(CosineRead(), share=1.5),
        "read": lambda: SettledRead(CosineRead),
        "num_steps": lambda: SettledRead(CosineRead(), num_steps=0),
        "num_classes": lambda: EpisodeLoss(bars, num_ways=5, num_classes=4),
        "corrupt": lambda: EpisodeLoss(bars, corrupt=3),
    }.items():
        with pytest.raises(ValueError, match=named):
            make()
