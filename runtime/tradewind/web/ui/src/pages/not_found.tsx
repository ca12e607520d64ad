import { Empty } from "../parts/problem";
import { useTitle } from "../parts/title";
import { Link } from "../router";

export function NotFoundPage() {
  useTitle("Not found");
  return (
    <Empty title="There is no page at this address">
      <p>The address may be old or mistyped. <Link to="dags">Go to the list of DAGs</Link>.</p>
    </Empty>
  );
}
