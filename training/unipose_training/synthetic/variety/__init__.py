"""What varies between synthetic clips: people, poses, rooms, cameras. Pure samplers; a seed says it all."""
