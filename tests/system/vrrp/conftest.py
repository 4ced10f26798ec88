"""What the tests with real routers share: each module makes a lab (shared_lab), each test finds it empty."""

import pytest


@pytest.fixture
def lab(shared_lab):
    yield shared_lab
    shared_lab.reset()
