"""What pooled states hold: exact where they hold it, nothing where they do not, and against scikit-learn."""

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from undertone.analysis.ridge import MEASURES, determination, held_out
from undertone.speech.prosody import STATISTICS


def test_a_linear_trace_is_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    states = rng.standard_normal((120, 6))
    targets = np.stack([states @ rng.standard_normal(6) + 3, rng.standard_normal(120)], axis=1)
    folds = np.repeat(np.arange(12), 10)
    traced, noise = determination(held_out(states, targets, folds, strength=0.01), targets, folds)
    assert traced.low > 0.999
    assert noise.value < 0.1
    assert noise.low < noise.value < noise.high


def test_it_is_scikit_learns_ridge() -> None:
    rng = np.random.default_rng(1)
    states, targets, folds = rng.standard_normal((40, 5)), rng.standard_normal((40, 2)), np.arange(40) % 4
    ours = held_out(states, targets, folds, strength=2.0)
    for fold in range(4):
        kept = folds != fold
        mean, spread = states[kept].mean(0), states[kept].std(0)
        fitted = Ridge(alpha=2.0).fit((states[kept] - mean) / spread, targets[kept])
        np.testing.assert_allclose(ours[~kept], fitted.predict((states[~kept] - mean) / spread), rtol=1e-5, atol=1e-6)
    found = [one.value for one in determination(ours, targets + 1000, folds, 0)]
    np.testing.assert_allclose(found, r2_score(targets + 1000, ours, multioutput="raw_values"))


def test_a_target_that_does_not_vary_has_no_r2() -> None:
    (found,) = determination(np.zeros((3, 1)), np.ones((3, 1)), range(3))
    assert found.value is None
    assert set(MEASURES) <= set(STATISTICS)
