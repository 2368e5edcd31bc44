"""`python -m querygauge` is the command `querygauge`."""

from querygauge.surfaces.cli import main

main()
