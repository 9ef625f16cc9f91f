"""What travels on the topics, described for those who produce and read it by other means than ours."""
