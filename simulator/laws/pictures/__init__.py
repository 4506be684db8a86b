"""Pictures of laws: functions (Axes, generator) -> None, for where a picture says more."""
