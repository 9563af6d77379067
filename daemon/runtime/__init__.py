"""The process itself: heartbeats, systemd, scheduler, limiter, logs, folder watcher, tuning."""
