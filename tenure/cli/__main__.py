"""`python -m tenure.cli`: the same as `tenure`."""

from tenure.cli import main

main()
