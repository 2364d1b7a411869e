import { expect, test } from "vitest";

import { Failure } from "src/api/client";
import { ErrorNotice } from "src/components/ErrorNotice";
import { show } from "src/test/show";

test.each([
  [0, "asks again by itself"],
  [401, "reload the page"],
  [403, "lacks the right"],
  [503, "ringrift-loop doctor"],
  [500, "log of Airflow's API server"],
])("status %d comes with what to do", (status, remedy) => {
  const { container } = show(<ErrorNotice error={new Failure(status, "the ledger <b>is</b> away")} />);
  expect(container).toHaveTextContent("the ledger <b>is</b> away");
  expect(container).toHaveTextContent(remedy);
});

test("without an error there is nothing", () => {
  expect(show(<ErrorNotice error={null} />).container).toBeEmptyDOMElement();
});
