"""Models of scikit-learn, XGBoost and LightGBM, called as their own methods are; an MLmodel file leads to them."""
