/** The page Play: one's own games against champions and baselines. */
import { Navigate, Route, Routes } from "react-router-dom";

import { Lobby } from "src/pages/Play/Lobby";
import { PlayedGame } from "src/pages/Play/PlayedGame";

export const Play = () => (
  <Routes>
    <Route element={<Lobby />} index />
    <Route element={<PlayedGame />} path=":id" />
    <Route element={<Navigate replace to="." />} path="*" />
  </Routes>
);
