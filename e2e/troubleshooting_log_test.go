package e2e

var logTroubles []troubleCase
