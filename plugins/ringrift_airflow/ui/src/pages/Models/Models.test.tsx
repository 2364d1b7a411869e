import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { expect, test, vi } from "vitest";

import type { Schema } from "src/api/client";
import { FamilyGraph } from "src/pages/Models/FamilyGraph";
import { LineageGraph, type Part } from "src/pages/Models/LineageGraph";
import { MatchupTable } from "src/pages/Models/MatchupTable";
import { PartDetails } from "src/pages/Models/ModelDetails";
import { Refusals } from "src/pages/Models/Refusals";
import { StrengthChart } from "src/pages/Models/StrengthChart";
import { line, lineage } from "src/pages/Models/sample";
import { show } from "src/test/show";

const FAMILY = [line(3, 1), line(2, 1, { state: "rejected", regression_passed: false }), line(1, null)];

test("the family is a list that arrow keys walk, and a press chooses a model", async () => {
  const chosen = vi.fn();
  const { getAllByRole, getByRole } = show(
    <FamilyGraph champion="m3" lines={FAMILY} now={1_000_100} onSelect={chosen} selected="m3" />,
  );
  const [first, second] = getAllByRole("button");
  expect(first).toHaveAttribute("aria-pressed", "true");
  expect(second).toHaveTextContent("Generation 2rejectedfrom 1, failed the six tests");
  first!.focus();
  await userEvent.keyboard("{ArrowDown}{Enter}");
  expect(chosen).toHaveBeenCalledExactlyOnceWith("m2");
  await userEvent.keyboard("{End}");
  expect(document.activeElement).toHaveTextContent("Generation 1");
  await userEvent.keyboard("{ArrowDown}");
  expect(document.activeElement).toHaveTextContent("Generation 1");
  expect(getByRole("list", { name: "Models, the newest first" })).toBeInTheDocument();
});

const Graph = () => {
  const [part, setPart] = useState<Part>("model");
  return <LineageGraph lineage={lineage()} onSelect={setPart} selected={part} />;
};

test("the history is a graph of buttons that say what they show", async () => {
  const { getByRole } = show(<Graph />);
  const game = getByRole("button", { name: "Games, 300 new, 900 in the window" });
  expect(getByRole("button", { name: "Six tests, failed, 1 of 2" })).toBeInTheDocument();
  expect(getByRole("button", { name: "Champion gate, not held" })).toBeInTheDocument();
  expect(getByRole("button", { name: /^Promoted, .*, as champion 2$/ })).toBeInTheDocument();
  game.focus();
  await userEvent.keyboard("{ArrowRight} ");
  expect(getByRole("button", { name: "Start weights, generation 1" })).toHaveAttribute("aria-pressed", "true");
});

test("a model from elsewhere says where it came from, in the graph and below it", () => {
  const origin = {
    digest: "c".repeat(64),
    licence: "Apache-2.0",
    made_at: 999_000,
    measured: ["98.8% [96.8%, 99.7%] of 400 games against heuristic"],
    source: "the package",
    trainings: 17,
  };
  const imported = lineage({ model: line(1, null), origin, start: "m0", training: null, window: null });
  const { container, getByRole, getByText, queryByText } = show(
    <>
      <LineageGraph lineage={imported} onSelect={vi.fn()} selected="start" />
      <PartDetails lineage={imported} now={1_000_000} onSelect={vi.fn()} part="start" />
    </>,
  );
  expect(getByRole("button", { name: "Imported, from the package, 17 trainings" })).toBeInTheDocument();
  expect(getByText("98.8% [96.8%, 99.7%] of 400 games against heuristic")).toBeInTheDocument();
  expect(getByText("cccccccccccc")).toBeInTheDocument();
  // It leads to the model, with no row left free for a training between them.
  expect(container.querySelectorAll("svg[role=group] path")).toHaveLength(5);
  expect(container.querySelector("svg[role=group]")!.getAttribute("viewBox")).toBe(`-2 -2 318 ${4 * 108 - 34 + 4}`);
  expect(queryByText("What training started from")).not.toBeInTheDocument();
});

test("a refused candidate says by whom, by how much and why, and leads to the report", async () => {
  const refusal = (generation: number, more: Partial<Schema<"Refusal">>): Schema<"Refusal"> => ({
    against: null,
    against_generation: null,
    at: 400,
    by: "regression",
    digest: `m${generation}`,
    gain: null,
    gain_stderr: null,
    games: 0,
    generation,
    id: generation,
    reason: "beats_heuristic: <b>41</b> of 100",
    ...more,
  });
  const chosen = vi.fn();
  const lost = { against: "m1", against_generation: 1, by: "champion", gain: -21, gain_stderr: 10, games: 400, reason: "it loses" };
  const older = [5, 4, 3, 2].map((generation) => refusal(generation, {}));
  const { getAllByRole, getByRole } = show(
    <Refusals now={1000} onSelect={chosen} refusals={[refusal(7, lost), refusal(6, {}), ...older]} />,
  );
  const rows = () => getAllByRole("row").slice(1).map(({ textContent }) => textContent);
  expect(rows().slice(0, 2)).toEqual([
    "generation 710 min agoChampion gate−21 ± 20 Elo over generation 1, 400 gamesit loses",
    "generation 610 min agoSix tests–beats_heuristic: <b>41</b> of 100",
  ]);
  expect(rows()).toHaveLength(5);
  await userEvent.click(getByRole("button", { name: "Show all 6" }));
  expect(rows()).toHaveLength(6);
  await userEvent.click(getByRole("button", { name: "generation 7" }));
  expect(chosen).toHaveBeenCalledExactlyOnceWith("m7", "champion");
});

test("a pair is shown from both sides, and only a sure one is coloured", () => {
  const player = { champion: false, digest: null, elo: 0, generation: null, stderr: 0 };
  const { getAllByRole } = show(
    <MatchupTable
      matchups={{
        pairings: [{ blocks: 10, gain: 40, games: 20, high: 70, low: 10, one: 0, other: 1, score: 0.8 }],
        players: [
          { ...player, name: "gen 3" },
          { ...player, name: "heuristic@1f2e" },
          { ...player, name: "never played" },
        ],
        variant: "square8_2p",
      }}
    />,
  );
  const cells = getAllByRole("cell").map(({ textContent }) => textContent);
  expect(cells).toEqual(["", "80 %20 games+10 to +70", "20 %20 games−70 to −10", ""]);
  expect(getAllByRole("rowheader").map(({ textContent }) => textContent)).toEqual(["gen 30 Elo", "heuristic0 Elo"]);
});

test("the chart of strength tells a screen reader each rating with its interval", () => {
  const view = {
    baselines: [{ elo: 0, games: 100, name: "random", stderr: 0 }],
    models: [...FAMILY, line(4, 3, { elo: null, stderr: null })],
    variant: "square8_2p",
  };
  const { getByRole } = show(<StrengthChart selected="m3" view={view} />);
  expect(getByRole("img")).toHaveAccessibleName(
    "Ratings with 95 % intervals: generation 1 101 ± 20 Elo; generation 2 102 ± 20 Elo; generation 3 103 ± 20 Elo",
  );
});
