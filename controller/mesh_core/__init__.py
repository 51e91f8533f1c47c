"""The pure half of the product: values and decisions.

Laws of the package:

1. No clock, randomness, log, await or socket; time is an argument (import-linter checks the imports).
2. A decision is a function from values to values; what it wants done it returns as a plan.
3. Whatever leaves a function has a defined order.
"""
