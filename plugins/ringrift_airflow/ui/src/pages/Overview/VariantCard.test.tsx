import { expect, test } from "vitest";

import type { Schema } from "src/api/client";
import { VariantCard } from "src/pages/Overview/VariantCard";
import { show } from "src/test/show";

const NEW: Schema<"VariantState"> = {
  champion: null,
  doing: "collects games: 120 of 300",
  elo: null,
  elo_per_core_hour: null,
  elo_per_core_hour_interval: null,
  full_in_s: 5400,
  gain: null,
  games: 120,
  games_last_hour: 120,
  generation: 0,
  interval: null,
  last_decision: null,
  last_gain_at: null,
  pending: 120,
  projection: null,
  projection_interval: null,
  ratings: [],
  state: "bootstrapping",
  threshold: 300,
  variant: "square8_2p",
  workers_playing: 2,
};

test("a new variant says what it waits for and makes no figure up", () => {
  const { container, getByRole } = show(<VariantCard now={1000} view={NEW} />);
  expect(container).toHaveTextContent("no champion yet");
  expect(container).toHaveTextContent("120 of 300, 1 h 30 min left");
  expect(container).toHaveTextContent("Last decisionnone yet");
  expect(container).toHaveTextContent("Last promotionnever");
  expect(container).not.toHaveTextContent("± 0");
  expect(getByRole("progressbar")).toHaveAttribute("aria-valuenow", "120");
});

test("what a gate says is text", () => {
  const reason = "<img src=x onerror=alert(1)>";
  const view = {
    ...NEW,
    elo: 866.4,
    gain: { elo: 118, interval: 33, span: "hour" },
    interval: 24,
    last_decision: { at: 400, elo_gain: 1, model: "a".repeat(64), reason, status: "rejected" },
  };
  const { container } = show(<VariantCard now={1000} view={view} />);
  expect(container).toHaveTextContent("866 ± 24 Elo");
  expect(container).toHaveTextContent("+118 ± 33 last hour");
  expect(container).toHaveTextContent(`rejected10 min ago${reason}refused candidates`);
  expect(container.querySelector("img")).toBeNull();
});
