// What the sanitizers find in libraries that Holdfast uses, and cannot mend. Linked into every test.

// The lines of ci/lsan.supp, which gives the reasons, for tests that are started by hand.
extern "C" const char* __lsan_default_suppressions() { return HOLDFAST_LEAKS_OF_OTHERS; }

// Over TCP the owner's processor serves one-sided reads: libfabric sends bytes that the owner may be
// changing, as an RDMA device would. Who reads them recognises what is torn. So accesses by libraries that
// are not built for ThreadSanitizer are not looked at (the preset says the same, for programs that are not
// tests).
extern "C" const char* __tsan_default_options() { return "ignore_noninstrumented_modules=1"; }
