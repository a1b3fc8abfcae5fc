"""Other people's recordings: adapters read them as `RecordedDrive`, `convert` writes those as nuScenes tables."""
