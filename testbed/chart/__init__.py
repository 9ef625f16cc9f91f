"""What reads the Helm chart."""
