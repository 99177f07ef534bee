"""`python -m vireid`, for launchers such as torchrun."""

from vireid.cli import main

main()
