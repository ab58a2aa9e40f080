package nginxconf_test

import (
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
)

func TestMain(m *testing.M) { importertest.Main(m) }
