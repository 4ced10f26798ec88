"""What all tests share: hypothesis profiles, and their budgets."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

calm = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("default", deadline=None, suppress_health_check=calm)
settings.register_profile("long", deadline=None, suppress_health_check=calm, max_examples=5000)
settings.register_profile("sanitize", deadline=None, suppress_health_check=calm, max_examples=25)
settings.load_profile("long" if os.environ.get("LONG") else os.environ.get("HYPOTHESIS_PROFILE", "default"))
