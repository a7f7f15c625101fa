"""The room that knows ROS: messages, topics, parameters, TF and diagnostics around the estimator."""
