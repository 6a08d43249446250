"""Read by Python at the start of every process that a test starts."""

import egress

egress.begin()
