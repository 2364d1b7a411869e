"""What Prometheus and Grafana are told of the loop: alert rules and dashboards, typed here and generated from here."""
