import { expect, test } from "vitest";

import { Figure } from "src/components/Figure";
import { show } from "src/test/show";

test("a difference has its sign, its interval and its unit", () => {
  const { container } = show(<Figure difference interval={33.6} unit="Elo" value={-118.2} />);
  expect(container).toHaveTextContent("−118 ± 34 Elo");
});

test("large numbers are grouped", () => {
  const { container } = show(<Figure value={1_234_567} />);
  expect(container).toHaveTextContent("1 234 567");
});

test.each([null, undefined])("what is not known is never a zero", (value) => {
  const { container, getByLabelText } = show(<Figure unit="Elo" value={value} />);
  expect(getByLabelText("not known")).toBeInTheDocument();
  expect(container).not.toHaveTextContent("0");
});
