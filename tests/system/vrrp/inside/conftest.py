"""These tests need a kernel with bonds and VRFs: test_vrrp_kernel.py boots one and runs them in it."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

collect_ignore_glob = [] if os.environ.get("LIBVRRP_INSIDE") else ["test_*.py"]
