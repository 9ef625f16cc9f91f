"""Dead letters: records that are no events, kept on a topic, mended and sent again."""
