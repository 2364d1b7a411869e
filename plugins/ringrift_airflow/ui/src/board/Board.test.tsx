import { ChakraProvider, defaultSystem } from "@chakra-ui/react";
import { fireEvent, render, screen, within } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";

import { Board } from "src/board/Board";
import { geometryOf, neighbour } from "src/board/geometry";
import { type Shape, type Step, cellNamed, cellsAt, contentOf, told } from "src/board/position";

const NUMBERS = { elimination_target: 18, line_length: 4, ply_budget: 600, rings_per_seat: 18, territory_target: 33 };

function square(side: number): Shape {
  const cells = [...Array(side).keys()].flatMap((x) => [...Array(side).keys()].map((y): [number, number] => [x, y]));
  return { ...NUMBERS, board: `square${side}`, cells, hexagonal: false, players: 2, variant: `square${side}_2p` };
}

function hex(radius: number): Shape {
  const span = [...Array(2 * radius + 1).keys()].map((index) => index - radius);
  const cells = span.flatMap((x) => span.filter((y) => Math.abs(x + y) <= radius).map((y): [number, number] => [x, y]));
  return { ...NUMBERS, board: "hex", cells, hexagonal: true, players: 4, variant: "hex8_4p" };
}

const step = (changes: [number, string][]): Step => ({
  changes,
  effects: [],
  eliminated: [0, 0],
  hands: [18, 18],
  move: null,
  mover: null,
  path: [],
  phase: "RP",
  says: "",
  seat: 1,
  swapped: false,
  territory: [0, 0],
});

const show = (element: React.ReactElement) => render(<ChakraProvider value={defaultSystem}>{element}</ChakraProvider>);

describe("positions", () => {
  const steps = [step([]), step([[3, "11"]]), step([[3, "m1"], [5, "211"]]), step([[5, "c1"]])];

  it("are made of all that changed before", () => {
    const shape = square(3);
    expect(cellsAt(shape, steps, 0)).toEqual(Array(9).fill(""));
    expect(cellsAt(shape, steps, 2).slice(3, 6)).toEqual(["m1", "", "211"]);
    expect(cellsAt(shape, steps, 3)[5]).toBe("c1");
    expect(cellsAt(shape, steps, 99)).toEqual(cellsAt(shape, steps, 3));
  });

  it("tell a stack's controller and cap from its rings", () => {
    expect(contentOf("2211")).toEqual({ cap: 2, controller: 1, kind: "stack", rings: [2, 2, 1, 1] });
    expect(contentOf("333")).toMatchObject({ cap: 3, controller: 3 });
    expect(contentOf("1")).toMatchObject({ cap: 1, controller: 1 });
    expect(contentOf("m4")).toEqual({ kind: "marker", seat: 4 });
    expect(contentOf("c2")).toEqual({ kind: "territory", seat: 2 });
  });

  it("are told in words", () => {
    const shape = hex(1);
    const cell = cellNamed(shape, "-1,1")!;
    expect(told(shape, cell, "2112")).toBe("-1,1, stack of 4 of seat 2, cap 1, from the bottom 2 1 1 2");
    expect(told(shape, cell, "3")).toBe("-1,1, one ring of seat 3");
    expect(told(shape, cell, "")).toBe("-1,1, empty");
    expect(cellNamed(shape, "5,5")).toBeUndefined();
  });
});

describe("geometry", () => {
  it.each([
    ["square", square(8), 8],
    ["hexagonal", hex(4), 6],
  ])("of a %s board keeps neighbours at distance one and all cells in the box", (_, shape, most) => {
    const { box, centers } = geometryOf(shape);
    const steps = shape.hexagonal ? [[1, 0], [0, 1], [-1, 1]] : [[1, 0], [0, 1]];
    shape.cells.forEach(([x, y], cell) => {
      const here = centers[cell]!;
      expect(here.x).toBeGreaterThan(box.left);
      expect(here.x).toBeLessThan(box.left + box.width);
      expect(here.y).toBeGreaterThan(box.top);
      expect(here.y).toBeLessThan(box.top + box.height);
      for (const [dx, dy] of steps) {
        const other = cellNamed(shape, `${x + dx!},${y + dy!}`);
        if (other !== undefined) {
          expect(Math.hypot(centers[other]!.x - here.x, centers[other]!.y - here.y)).toBeCloseTo(1);
        }
      }
      const near = centers.filter((there) => Math.hypot(there.x - here.x, there.y - here.y) < 1.5).length - 1;
      expect(near).toBeLessThanOrEqual(most);
    });
  });

  it.each([square(8), square(19), hex(4), hex(12)])("lets the arrow keys reach every cell", (shape) => {
    const { centers } = geometryOf(shape);
    const reached = new Set([0]);
    const queue = [0];
    for (let cell = queue.pop(); cell !== undefined; cell = queue.pop()) {
      for (const key of ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]) {
        const next = neighbour(centers, cell, key);
        if (!reached.has(next)) {
          reached.add(next);
          queue.push(next);
        }
      }
    }
    expect(reached.size).toBe(shape.cells.length);
  });

  it("goes one cell straight ahead on a square board, and stays at the edge", () => {
    const shape = square(8);
    const { centers } = geometryOf(shape);
    const from = cellNamed(shape, "3,4")!;
    expect(neighbour(centers, from, "ArrowRight")).toBe(cellNamed(shape, "4,4"));
    expect(neighbour(centers, from, "ArrowUp")).toBe(cellNamed(shape, "3,3"));
    expect(neighbour(centers, cellNamed(shape, "0,0")!, "ArrowLeft")).toBe(cellNamed(shape, "0,0"));
    expect(neighbour(centers, from, "a")).toBe(from);
  });
});

describe("the board", () => {
  const shape = square(3);
  const cells = ["", "m1", "c2", "12", "", "", "", "", "11112222"];

  it("names every cell, and each ring of a stack has its side", () => {
    const { container } = show(<Board cells={cells} label="a board" shape={shape} />);
    const board = screen.getByRole("group", { name: "a board" });
    expect(within(board).getAllByRole("img")).toHaveLength(9);
    expect(within(board).getByRole("img", { name: "1,0, stack of 2 of seat 2, cap 1, from the bottom 1 2" })).toBeInTheDocument();
    expect(within(board).getByRole("img", { name: "0,2, territory of seat 2" })).toBeInTheDocument();
    const sides = [...container.querySelectorAll(".rr-side")].map((side) => side.getAttribute("fill"));
    expect(sides).toHaveLength(10);
    // From the bottom to the top, so that the upper ring lies over the lower one.
    expect(new Set(sides.slice(2, 6))).toEqual(new Set([sides[0]]));
    expect(new Set(sides.slice(6))).toEqual(new Set([sides[1]]));
    expect(sides[0]).not.toBe(sides[1]);
    expect([...container.querySelectorAll(".rr-height")].map((text) => text.textContent)).toEqual(["2", "8"]);
  });

  it("is one stop of the tab key, and lets the arrows and Enter choose", () => {
    const onPick = vi.fn();
    const { container } = show(<Board cells={cells} label="a board" onPick={onPick} shape={shape} targets={new Set([7])} />);
    const stops = container.querySelectorAll("[data-cell][tabindex='0']");
    expect(stops).toHaveLength(1);
    expect(stops[0]).toHaveAttribute("data-cell", "4");
    const cell = screen.getByRole("button", { name: "2,1, empty, can be chosen" });
    fireEvent.keyDown(stops[0]!, { key: "ArrowRight" });
    expect(cell).toHaveFocus();
    fireEvent.keyDown(cell, { key: "Enter" });
    fireEvent.click(screen.getByRole("button", { name: "0,1, marker of seat 1" }));
    expect(onPick.mock.calls).toEqual([[7], [1]]);
  });

  it("lists the rings of a stack from the top when it is looked at", () => {
    show(<Board cells={cells} label="a board" shape={shape} />);
    expect(screen.queryByRole("tooltip")).toBeNull();
    fireEvent.mouseOver(screen.getByRole("img", { name: /^2,2, stack of 8/ }));
    expect(screen.getByRole("tooltip")).toHaveTextContent("2,2: 8 rings, cap 4Orange controls it. From the top:");
    expect(screen.getByRole("tooltip").querySelectorAll("svg")).toHaveLength(8);
    fireEvent.mouseOver(screen.getByRole("img", { name: "0,1, marker of seat 1" }));
    expect(screen.queryByRole("tooltip")).toBeNull();
  });

  it("shows what the last move did: the stack on its way, and what has gone", () => {
    const before = ["11", "", "", "22", "", "", "", "", ""];
    const after = ["m1", "", "", "", "", "", "112", "", ""];
    const last = { animate: true, before, key: 1, path: [0, 3, 6] };
    const { container, rerender } = show(<Board cells={after} label="a board" last={last} shape={shape} />);
    expect(container.querySelectorAll(".rr-travel .rr-side")).toHaveLength(3);
    expect(container.querySelector<HTMLElement>(".rr-travel")!.style.getPropertyValue("--rr-x")).toBe("-2px");
    expect(container.querySelectorAll(".rr-ghost .rr-side")).toHaveLength(2);
    expect(container.querySelectorAll(".rr-changed")).toHaveLength(3);
    rerender(
      <ChakraProvider value={defaultSystem}>
        <Board cells={after} label="a board" last={{ ...last, animate: false }} shape={shape} />
      </ChakraProvider>,
    );
    expect(container.querySelectorAll(".rr-travel, .rr-ghost")).toHaveLength(0);
    expect(container.querySelectorAll(".rr-changed")).toHaveLength(3);
  });

  it("shows what others say as text, whatever it is", () => {
    const evil = "<img src=x onerror=alert(1)>";
    const { container } = show(<Board cells={cells} label={evil} shape={shape} />);
    expect(screen.getByRole("group", { name: evil })).toBeInTheDocument();
    expect(container.querySelector("img")).toBeNull();
  });
});
