import { expect, test } from "vitest";

import { RatingChart } from "src/components/RatingChart";
import { show } from "src/test/show";

test("one rating is no development", () => {
  const series = [{ name: "square8_2p", points: [{ at: 0, elo: 300, interval: 20 }] }];
  expect(show(<RatingChart series={series} />).container).toHaveTextContent("No rating over time yet");
});
