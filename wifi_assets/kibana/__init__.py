"""What Kibana shows of the indices: the questions and the saved objects made from them."""
