"""What all tests share: one thread per process, so that parallel tests do not fight for cores."""

import os

os.environ.setdefault("GANFORGE_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
