import numpy as np
import pytest


def test_fused_batch_norm_is_batch_norm(tensorflow):
    import keras

    from gan.layers import FusedBatchNorm

    random = np.random.default_rng(0)
    inputs = random.normal(2, 3, (8, 5, 5, 4)).astype(np.float32)
    layer = FusedBatchNorm(momentum=0.9)
    found = layer(inputs, training=True).numpy()
    mean, variance = inputs.mean((0, 1, 2)), inputs.var((0, 1, 2))
    np.testing.assert_allclose(found, (inputs - mean) / np.sqrt(variance + 1e-3), atol=1e-4)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.1 * mean, rtol=1e-4)
    # The moving variance estimates the population's: n / (n - 1).
    count = inputs.size / 4
    np.testing.assert_allclose(layer.moving_variance.numpy(),
                               0.9 + 0.1 * variance * count / (count - 1), rtol=1e-4)

    reference = keras.layers.BatchNormalization(epsilon=1e-3)
    reference.build(inputs.shape)
    reference.set_weights(layer.get_weights())
    np.testing.assert_allclose(layer(inputs, training=False), reference(inputs, training=False),
                               atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_statistics_stay_float32_under_mixed_precision(tensorflow, policy):
    from gan.layers import FusedBatchNorm

    layer = FusedBatchNorm(dtype=policy)
    outputs = layer(np.ones((2, 4, 4, 3), np.float32), training=True)
    assert outputs.dtype == policy.removeprefix("mixed_")
    assert {variable.dtype for variable in layer.variables} == {"float32"}
