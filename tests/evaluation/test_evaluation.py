"""All figures of an evaluation, compared with scikit-learn's."""
