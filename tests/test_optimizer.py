import numpy as np
import pytest


def test_fused_adam_takes_the_steps_of_keras_adam(tensorflow):
    import keras

    from gan.training import FusedAdam

    start, ends = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32), []
    for kind in (keras.optimizers.Adam, FusedAdam):
        variable, random = keras.Variable(start), np.random.default_rng(1)
        optimizer = kind(0.01, beta_1=0.5, beta_2=0.99)
        optimizer.build([variable])
        for _ in range(20):
            gradient = tensorflow.constant(random.normal(size=(4, 3)), "float32")
            optimizer.apply([gradient], [variable])
        ends.append(variable.numpy())
    np.testing.assert_allclose(*ends, rtol=2e-5)


def test_rate_is_constant_then_falls_to_a_tenth(tensorflow):
    from gan.training import LinearDecay

    rate = LinearDecay(1.0, steps=100, decay=0.5)
    found = [float(rate(step)) for step in (0, 50, 75, 90, 99, 100, 500)]
    assert found == pytest.approx([1, 1, 0.5, 0.2, 0.1, 0.1, 0.1])
    assert float(LinearDecay(0.3, 100, 0)(99)) == pytest.approx(0.3)
