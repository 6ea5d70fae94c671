import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references_likelihood as references
from jax.sharding import AxisType, PartitionSpec

import wae_rnf_jax as wae

SENTENCES, TIME, HIDDEN, VOCABULARY = 8, 5, 4, 60
ROWS = SENTENCES * TIME
# One row, no divisor of ROWS, a divisor, more than all.
BLOCK_SIZES = (1, 7, 8, 100)


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(SENTENCES, TIME, HIDDEN)),
        rng.normal(size=(HIDDEN, VOCABULARY)),
        rng.normal(size=VOCABULARY),
        rng.integers(0, VOCABULARY, (SENTENCES, TIME)),
    )


@pytest.fixture(scope="module")
def where():
    return np.random.default_rng(1).random((SENTENCES, TIME)) < 0.7


@pytest.fixture(scope="module")
def weights(where):
    """Cotangents of the tokens: all different, and the same for all that count."""
    return {"different": np.random.default_rng(2).normal(size=where.shape), "same": 0.25 * where}


def expected(inputs, cotangent):
    hidden, kernel, bias, targets = inputs
    nll, (hidden_gradient, *others) = references.linear_cross_entropy(
        hidden.reshape(ROWS, HIDDEN), kernel, bias, targets.ravel(), cotangent.ravel()
    )
    return nll.reshape(targets.shape), (hidden_gradient.reshape(hidden.shape), *others)


def value_and_gradients(function, inputs, cotangent, **options):
    """NLL, and gradients in the floating inputs of Σ cotangent·nll; compiled as one program."""

    def loss(hidden, kernel, bias, targets, cotangent):
        nll = function(hidden, kernel, bias, targets, **options)
        return (jnp.broadcast_to(cotangent, nll.shape) * nll).sum(), nll

    derivative = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))
    (_, nll), gradients = derivative(*map(jnp.asarray, (*inputs, cotangent)))
    return nll, gradients


def assert_close(actual, wanted, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), actual, wanted)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("block_size", BLOCK_SIZES)
def test_equals_the_plain_version(inputs, weights, block_size):
    actual = value_and_gradients(
        wae.fused_linear_cross_entropy, inputs, weights["different"], block_size=block_size
    )
    assert_close(actual, expected(inputs, weights["different"]), rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("block_size", [7, 100])
def test_masked_equals_the_plain_version(inputs, where, weights, block_size):
    """Whether the gradient of the forward pass will do, or must be computed again."""
    both = np.stack([weights["same"], weights["different"]])

    def each(hidden, kernel, bias, targets):
        nll = [
            wae.fused_linear_cross_entropy(
                hidden, kernel, bias, targets, block_size=block_size, where=jnp.asarray(where)
            )
            for hidden in hidden
        ]
        return jnp.stack(nll)

    hidden, *others = inputs
    nll, gradients = value_and_gradients(each, (np.stack([hidden, hidden]), *others), both)
    wanted = [expected(inputs, cotangent * where) for cotangent in both]
    assert_close(nll, np.stack([np.where(where, part[0], 0.0) for part in wanted]), rtol=1e-10)
    wanted_hidden = np.stack([part[1][0] for part in wanted])
    wanted_others = [wanted[0][1][i] + wanted[1][1][i] for i in (1, 2)]
    assert_close(list(gradients), [wanted_hidden, *wanted_others], rtol=1e-10, atol=1e-12)


def test_nothing_counts(inputs):
    nll, gradients = value_and_gradients(
        wae.fused_linear_cross_entropy,
        inputs,
        1.0,
        where=jnp.zeros((SENTENCES, TIME), bool),
        block_size=16,
    )
    assert_close((nll, gradients), jax.tree.map(jnp.zeros_like, (nll, gradients)), atol=0.0)


def test_no_rows():
    nll = wae.fused_linear_cross_entropy(
        jnp.ones((0, 3, HIDDEN)),
        jnp.ones((HIDDEN, VOCABULARY)),
        jnp.zeros(VOCABULARY),
        jnp.zeros((0, 3), int),
        block_size=4,
    )
    assert nll.shape == (0, 3)


def test_large_logits_stay_finite():
    """In float32 exp overflows at 88; the nll of a class 1000 below the best is 1000."""
    kernel = jnp.array([[1000.0, 0.0]])
    hidden, targets, where = jnp.ones((2, 1)), jnp.array([0, 1]), jnp.ones(2, bool)
    for mask in (None, where):
        nll, (gradient, *_) = value_and_gradients(
            wae.fused_linear_cross_entropy,
            (hidden, kernel, jnp.zeros(2), targets),
            1.0,
            block_size=2,
            where=mask,
        )
        np.testing.assert_allclose(nll, [0.0, 1000.0])
        np.testing.assert_allclose(gradient, [[0.0], [1000.0]])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("masked", [False, True])
def test_vmap_over_hidden_alone(inputs, where, weights, masked):
    """Samples of the hidden states under one kernel and the same targets."""
    hidden, kernel, bias, targets = inputs
    samples = np.stack([hidden, -hidden])
    options = {"where": jnp.asarray(where)} if masked else {}
    cotangent = weights["same" if masked else "different"]

    def sampled(hidden, kernel, bias, targets):
        def score(hidden):
            return wae.fused_linear_cross_entropy(
                hidden, kernel, bias, targets, block_size=16, **options
            )

        return jax.vmap(score)(hidden)

    _, gradients = value_and_gradients(sampled, (samples, kernel, bias, targets), cotangent)
    parts = [expected((h, kernel, bias, targets), cotangent)[1] for h in samples]
    wanted = [np.stack([part[0] for part in parts]), *(sum(p[i] for p in parts) for i in (1, 2))]
    assert_close(list(gradients), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_the_last_block_holds_all_rows_that_are_left():
    """Two blocks of 64 rows, the last of them 0, 32 or 64: one program for every number of rows."""
    rng = np.random.default_rng(0)
    rows, block_size = 128, 64
    hidden, kernel = rng.normal(size=(rows, HIDDEN)), rng.normal(size=(HIDDEN, VOCABULARY))
    bias, targets = rng.normal(size=VOCABULARY), rng.integers(0, VOCABULARY, rows)
    order = rng.permutation(rows)

    @jax.jit
    def derivative(where):
        def loss(hidden, kernel, bias):
            nll = wae.fused_linear_cross_entropy(
                hidden, kernel, bias, targets, block_size=block_size, where=where
            )
            return nll.sum(), nll

        return jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(hidden, kernel, bias)

    for counted in (0, 1, 32, 33, 64, 65, 96, 97, 127, 128):
        where = order < counted
        (_, nll), gradients = derivative(where)
        wanted_nll, wanted = references.linear_cross_entropy(hidden, kernel, bias, targets, where)
        assert_close(nll, np.where(where, wanted_nll, 0), rtol=1e-10, atol=1e-12)
        assert_close(gradients, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", ["different", "same", None])
def test_shard_map_with_a_replicated_kernel(inputs, where, weights, kind):
    """Sentences over the devices; the kernel's gradient is summed over them, as JAX defines it."""
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    split, whole = PartitionSpec("data"), PartitionSpec()
    masked = kind is not None
    cotangent = weights[kind or "different"]

    def local(hidden, kernel, bias, targets, cotangent, where):
        def loss(hidden, kernel, bias):
            nll = wae.fused_linear_cross_entropy(
                hidden, kernel, bias, targets, block_size=7, where=where if masked else None
            )
            return jax.lax.psum((cotangent * nll).sum(), "data"), nll

        (_, nll), gradients = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(
            hidden, kernel, bias
        )
        return nll, gradients

    actual = jax.jit(
        jax.shard_map(
            local,
            mesh=mesh,
            in_specs=(split, whole, whole, split, split, split),
            out_specs=(split, (split, whole, whole)),
        )
    )(*inputs, cotangent, where)
    counted = where if masked else np.ones_like(where)
    nll, gradients = expected(inputs, cotangent * counted)
    assert_close(actual, (np.where(counted, nll, 0.0), gradients), rtol=1e-10, atol=1e-12)


def loss_of(function, **options):
    return lambda *inputs: function(*inputs, **options).sum()


def plain(hidden, kernel, bias, targets):
    logits = hidden @ kernel + jnp.broadcast_to(bias, (*hidden.shape[:-1], VOCABULARY))
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)


def largest_array(function, *inputs):
    """Elements of the largest array named anywhere in the compiled program."""
    text = jax.jit(function).lower(*inputs).compile().as_text()
    shapes = re.findall(r"\b(?:pred|[a-z]+\d+)\[([\d,]+)\]", text)
    return max(int(np.prod([int(size) for size in shape.split(",")])) for shape in shapes)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("derivative", [False, True])
def test_no_more_than_a_block_of_logits_is_ever_held(inputs, where, masked, derivative):
    inputs = [jnp.asarray(x, jnp.float32 if x.dtype == np.float64 else int) for x in inputs]

    def differentiated(function):
        return jax.value_and_grad(function, (0, 1, 2)) if derivative else function

    options = {"block_size": 8, "where": jnp.asarray(where) if masked else None}
    largest = largest_array(
        differentiated(loss_of(wae.fused_linear_cross_entropy, **options)), *inputs
    )
    assert HIDDEN * VOCABULARY < 8 * VOCABULARY < ROWS * VOCABULARY
    assert largest == 8 * VOCABULARY
    if not masked:  # the measure sees what it should: the plain version holds them all
        assert largest_array(differentiated(loss_of(plain)), *inputs) == ROWS * VOCABULARY


@pytest.mark.parametrize("masked", [False, True])
def test_matrix_products_of_each_use(inputs, where, masked):
    """Evaluation forms logits only; a masked gradient needs no second pass but as a fallback."""
    inputs = [jnp.asarray(x, jnp.float32 if x.dtype == np.float64 else int) for x in inputs]
    options = {"block_size": 8, "where": jnp.asarray(where) if masked else None}
    loss = loss_of(wae.fused_linear_cross_entropy, **options)

    def products(function):
        return jax.jit(function).lower(*inputs).as_text().count("dot_general")

    assert products(loss) == 1
    assert products(jax.grad(loss, (0, 1, 2))) == (6 if masked else 4)


@pytest.mark.parametrize("masked", [False, True])
def test_bfloat16_is_accumulated_in_float32(inputs, weights, where, masked):
    hidden, kernel, bias, targets = inputs
    narrow = [jnp.asarray(array, jnp.bfloat16) for array in (hidden, kernel, bias)]
    nll, gradients = value_and_gradients(
        wae.fused_linear_cross_entropy,
        (*narrow, targets),
        jnp.asarray(weights["same"], jnp.float32),
        block_size=8,
        where=jnp.asarray(where) if masked else None,
    )
    assert nll.dtype == jnp.float32
    assert all(gradient.dtype == jnp.bfloat16 for gradient in gradients)
    rounded = [np.asarray(array, np.float64) for array in narrow]
    wanted_nll, wanted = expected((*rounded, targets), weights["same"])
    assert_close(nll, np.where(where | (not masked), wanted_nll, 0.0), rtol=1e-5)
    # One rounding to bfloat16's 8 bits of the errors, and one of the result.
    for actual, gradient in zip(gradients, wanted, strict=True):
        scale = np.abs(gradient).max()
        assert_close(np.asarray(actual, np.float64), gradient, atol=2**-7 * scale)


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int16])
@pytest.mark.parametrize("masked", [False, True])
def test_targets_of_any_integer_dtype_have_one_class_each(masked, dtype):
    """Among 600 classes, of which eight bits have names for 256 alone."""
    rng = np.random.default_rng(0)
    arrays = rng.normal(size=(2, HIDDEN)), rng.normal(size=(HIDDEN, 600)), rng.normal(size=600)
    arrays = [jnp.asarray(array, jnp.float32) for array in arrays]
    actual, wanted = (
        value_and_gradients(
            wae.fused_linear_cross_entropy,
            (*arrays, jnp.array([5, 120], dtype)),
            1.0,
            block_size=2,
            where=jnp.ones(2, bool) if masked else None,
        )
        for dtype in (dtype, jnp.int32)
    )
    assert_close(actual, wanted, rtol=0)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("target", [-1, -100, 600, 10**6])
def test_a_target_that_is_no_class_has_no_nll(masked, target):
    """As an index from the end, -100 would be some class, whose nll is a number like any other."""
    nll = wae.fused_linear_cross_entropy(
        jnp.ones((2, HIDDEN)),
        jnp.ones((HIDDEN, 600)),
        jnp.zeros(600),
        jnp.array([5, target]),
        block_size=2,
        where=jnp.ones(2, bool) if masked else None,
    )
    assert np.isfinite(nll[0])
    assert np.isnan(nll[1])


GOOD = {
    "hidden": np.ones((2, 3)),
    "kernel": np.ones((3, 4)),
    "bias": np.ones(4),
    "targets": np.ones(2, int),
    "block_size": 2,
}
WRONG = {
    "block size of zero": {"block_size": 0},
    "targets of floats": {"targets": np.ones(2)},
    "hidden of integers": {"hidden": np.ones((2, 3), int)},
    "kernel of integers": {"kernel": np.ones((3, 4), int)},
    "kernel of rank 1": {"kernel": np.ones(3)},
    "kernel of other features": {"kernel": np.ones((2, 4))},
    "bias of other classes": {"bias": np.ones(3)},
    "bias of rank 2": {"bias": np.ones((1, 4))},
    "other targets": {"targets": np.ones(3, int)},
    "where of integers": {"where": np.ones(2, int)},
    "where of another shape": {"where": np.ones(3, bool)},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_wrong_arguments_are_rejected(change):
    good = {k: v if k == "block_size" else jnp.asarray(v) for k, v in GOOD.items()}
    assert wae.fused_linear_cross_entropy(**good).shape == (2,)
    changed = {k: v if k == "block_size" else jnp.asarray(v) for k, v in change.items()}
    with pytest.raises((ValueError, AssertionError)):
        wae.fused_linear_cross_entropy(**(good | changed))
