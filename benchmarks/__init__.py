"""What Kurt costs, measured beside a yardstick in the same run. `make bench`, or `python -m benchmarks --help`."""
