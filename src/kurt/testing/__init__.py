"""What tests of workflows use: fakes of the outside world."""
