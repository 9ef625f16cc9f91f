"""What an item's score is made of beside the model's capsules."""
