from . cimport native, sentry
