"""Objects under keys for seconds, somewhere else. Knows neither entries nor names, how keys are made, nor HTTP."""
