import { afterEach, expect, test, vi } from "vitest";

import { type Schema, api } from "src/api/client";
import { JobLog } from "src/pages/Hosts/JobLog";
import { LoadBar } from "src/pages/Hosts/LoadBar";
import { show } from "src/test/show";

const MACHINE: Schema<"MachineLine"> = {
  action: null,
  at: 0,
  cpu: 91,
  critical: 90,
  decided_at: null,
  disk: null,
  duty: 0.5,
  gpu: null,
  gpu_memory: null,
  high: 80,
  hosts: ["a"],
  id: "m",
  jobs: 10,
  low: 60,
  memory: 40,
  memory_max: 90,
  reason: null,
  strangers: 61,
  target: 70,
  workers: 20,
  zone: "critical",
};

test("the bar of a machine says who uses it and where it should lie", () => {
  const { getByRole } = show(<LoadBar machine={MACHINE} />);
  expect(getByRole("img")).toHaveAccessibleName(
    "CPU 91 %: workers 20 %, jobs 10 %, others 61 %; it should lie between 60 and 80 %",
  );
});

const JOB: Schema<"JobLine"> = {
  active: true,
  attempt: 1,
  ended_at: null,
  error: null,
  gpus: [],
  host: "a",
  id: "train-1",
  last_contact_at: 0,
  placed_at: 0,
  remedy: null,
  role: "training",
  state: "running",
};

afterEach(() => void vi.restoreAllMocks());

test("a log asks with the last token, keeps what it has when nothing is new, and shows text as text", async () => {
  const asked: string[] = [];
  const answers = [
    { changed_at: 1, text: "step 1\n<script>alert(1)</script>\n", token: "t1" },
    { changed_at: 1, text: null, token: "t1" },
    { changed_at: 2, text: "step 1\nstep 2\n", token: "t2" },
  ];
  vi.spyOn(api, "GET").mockImplementation(((_path: string, question: { params: { query: { after: string } } }) => {
    asked.push(question.params.query.after);
    const data = answers[Math.min(asked.length, answers.length) - 1];
    return Promise.resolve({ data, response: new Response("{}") });
  }) as never);
  const { container, findByText, getByRole } = show(<JobLog job={JOB} now={10} />);
  await vi.waitFor(() => expect(getByRole("log")).toHaveTextContent("step 1 <script>alert(1)</script>"));
  expect(container.querySelector("script")).toBeNull();
  await vi.waitFor(() => expect(asked.length).toBeGreaterThan(1), { timeout: 6000 });
  expect(getByRole("log")).toHaveTextContent("step 1");
  await findByText(/step 2/, undefined, { timeout: 6000 });
  expect(asked.slice(0, 3)).toEqual(["", "t1", "t1"]);
}, 15_000);
