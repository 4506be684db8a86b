"""What is broken in optimizers, training, schedules and models."""

from mutant import of

# fmt: off
MUTANTS = [
    *of(
        "simulator/optimizers/adaptive.py", "tests/test_optimizers.py",
        ("1.0 / (1.0 - self.beta1**t), 1.0 / (1.0 - self.beta2**t)",
         "1.0 / (1.0 - self.beta1 ** (t + 1)), 1.0 / (1.0 - self.beta2**t)"),
        ("1.0 / (1.0 - self.beta1**t), 1.0 / (1.0 - self.beta2**t)",
         "1.0 / (1.0 - self.beta1**t), 1.0"),
        ("v = self.beta2 * state[1] + (1.0 - self.beta2) * gradient**2", "v = state[1]"),
        ("(1.0 - self.beta1**t) * root", "root"),
        ("np.sqrt(v / (1.0 - self.beta2**t)) + self.eps", "np.sqrt(v / (1.0 - self.beta2**t))"),
        ("heavy_ball_limit(self.beta1, self.beta1)", "heavy_ball_limit(self.beta1)"),
        ("Limit(2.0 / (1.0 - self.beta1))", "Limit(2.0 / (1.0 + self.beta1))"),
    ),
    *of(
        "simulator/optimizers/adaptive.py", "tests/test_optimizers.py",
        ("return gradient**2", "return abs(gradient)"),
        ("return gradient**2", "return 0.0 * gradient"),
    ),
    *of(
        "simulator/optimizers/adaptive.py", "tests/test_optimizers.py",
        ("np.linalg.norm(gradient) / np.linalg.norm(r)", "1.0 / np.linalg.norm(r)"),
    ),
    *of(
        "simulator/optimizers/adaptive.py", "tests/test_optimizers.py",
        ("rho - 2.0 * t * power", "rho - 2.0 * power"),
        ("_TRACTABLE = 5.0", "_TRACTABLE = 4.0"),
        ("super().preconditioner(gradient, state, t) / gradient.dtype.type(r)",
         "super().preconditioner(gradient, state, t) * gradient.dtype.type(r)"),
    ),
    *of(
        "simulator/optimizers/base.py", "tests/test_optimizers.py",
        ("update += theta.dtype.type(weight_decay) * theta",
         "update -= theta.dtype.type(weight_decay) * theta"),
    ),
    *of(
        "simulator/optimizers/adaptive.py", "tests/test_optimizers.py tests/test_stability.py",
        ("bound = (1.0 + self.beta1) / (1.0 - self.beta1)", "bound = 1.0 / (1.0 - self.beta1)"),
    ),
    *of(
        "simulator/optimizers/linear.py", "tests/test_optimizers.py",
        ("spared = t == 1 and not self.ema", "spared = t == 2 and not self.ema"),
        ("take = 1.0 - (self.beta if self.ema", "take = 1.0 - (1.0 - self.beta if self.ema"),
        ("bound = 1.0 / (a * take + b)", "bound = 1.0 / (a + b)"),
        ("* (1.0 - keep) / (a * take + b * (1.0 - keep))", "/ (a * take + b)"),
        ("bound = (1.0 + keep) / (a * take + b * (1.0 + keep))",
         "bound = (1.0 + keep) / (a * take + b)"),
    ),
    *of(
        "simulator/optimizers/adaptive.py", "tests/test_optimizers.py",
        ("return StabilityLimit(2.0)", "return StabilityLimit(2.02)"),
        ("self.beta2 * state[0] + (1.0 - self.beta2) * gradient**2", "state[0]"),
    ),
    *of(
        "simulator/numerics/updates.py", "tests/test_optimizers.py",
        ("np.sqrt(second * v[i]) + eps", "np.sqrt(second * v[i] + eps)"),
        ("out[i] = a * momentum[i] + b * gradient[i]", "out[i] = momentum[i]"),
    ),
    *of(
        "simulator/numerics/updates.py", "tests/test_preconditioned.py",
        ("theta[i] -= eta * rates[i] * update[i]", "theta[i] -= eta * update[i]"),
    ),
    *of(
        "simulator/training/rule.py", "tests/test_preconditioned.py",
        ("held_where_zero(p / self._rates)", "held_where_zero(p * self._rates)"),
    ),
    *of(
        "simulator/training/record.py", "tests/test_preconditioned.py",
        ("self._measure_preconditioned(step + 1)", "self._measure_preconditioned(step + 2)"),
        ("self._measure_preconditioned(len(self.loss) + 1)",
         "self._measure_preconditioned(len(self.loss))"),
    ),
    *of(
        "simulator/parameterizations.py", "tests/test_preconditioned.py",
        ("return 1.0 / sqrt(fan_out) if first else 1.0 / fan_in",
         "return 1.0 / sqrt(fan_out) if first else 1.0 / sqrt(fan_in)"),
    ),
    *of(
        "simulator/schedules/warmup.py", "tests/test_schedules.py",
        ('np.arange(1, count("steps", steps, 0) + 1)', 'np.arange(count("steps", steps, 0))'),
        ("of_init = 1.0 - of_trgt", "of_init = of_trgt"),
        ("weights * (end + (1.0 - end) * left)", "weights * left"),
        ("t - (steps - length)", "t - (steps - length) + 1"),
    ),
    *of(
        "simulator/shipped.py", "tests/test_subclasses.py",
        ("getattr(module, cls.__name__, None) is cls", "module"),
        ("vars(thing).keys() - options", "()"),
        ("attribute is not getattr(contract, name)", "name in vars(cls)"),
    ),
    *of(
        "simulator/training/rule.py", "tests/test_subclasses.py",
        ("return self._linear and not", "return not"),
    ),
    *of(
        "simulator/training/rule.py", "tests/test_lending.py",
        ("return array if self._shipped else array.copy()", "return array"),
    ),
    *of(
        "simulator/models/custom.py", "tests/test_lending.py",
        ("self._of_hvp(self._theta.copy(), v.copy(), *self._xy)",
         "self._of_hvp(self._theta, v, *self._xy)"),
    ),
    *of(
        "simulator/blas.py", "tests/test_blas.py",
        ("library.clear_controlling_thread(force=True)", "pass"),
        ("                _set(_before)", "                _set(_before[:1])"),
    ),
    *of(
        "simulator/models/uv.py", "tests/test_uv_model.py",
        ("-0.5 * (1.0 - self.s)", "-0.5 * self.s"),
        ("freedom = rows - np.arange(columns, dtype=float)",
         "freedom = rows + np.arange(columns, dtype=float)"),
    ),
]
