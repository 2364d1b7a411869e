/** The page Games: the list, any game of it move by move, and a record of one's own. */
import { Navigate, Route, Routes } from "react-router-dom";

import { GameList } from "src/pages/Games/GameList";
import { LoadRecord, OwnGame } from "src/pages/Games/LoadRecord";
import { StoredGame } from "src/pages/Games/StoredGame";

export const Games = () => (
  <Routes>
    <Route element={<GameList />} index />
    <Route element={<LoadRecord />} path="load" />
    <Route element={<OwnGame />} path="own" />
    <Route element={<StoredGame />} path=":id" />
    <Route element={<Navigate replace to="." />} path="*" />
  </Routes>
);
