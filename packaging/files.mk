# SPDX-License-Identifier: BSD-3-Clause
# Recipes of distributions, built from the tarball of make dist: make deb, make rpm. What is made is in packages/.
debian_recipe = \
	packaging/debian/changelog \
	packaging/debian/control \
	packaging/debian/copyright \
	packaging/debian/distorch2-mpi.install \
	packaging/debian/distorch2.install \
	packaging/debian/libdistorch2-0.install \
	packaging/debian/libdistorch2-0.symbols \
	packaging/debian/libdistorch2-cuda.install \
	packaging/debian/libdistorch2-dev.install \
	packaging/debian/libdistorch2-hip.install \
	packaging/debian/libdistorch2-mpi-dev.install \
	packaging/debian/libdistorch2-mpi0.install \
	packaging/debian/libdistorch2-mpi0.symbols \
	packaging/debian/libdistorch2-opencl.install \
	packaging/debian/python3-distorch2.install \
	packaging/debian/rules \
	packaging/debian/source/format \
	packaging/debian/tests/control
EXTRA_DIST += \
	$(debian_recipe) \
	LICENSES/BSD-3-Clause.txt \
	REUSE.toml \
	packaging/chroot.sh \
	packaging/distorch2.spec \
	packaging/easybuild/distorch2.eb \
	packaging/facts.sh \
	packaging/guix.scm \
	packaging/rpmlint.toml \
	packaging/spack/package.py

deb: dist-gzip
	@command -v dpkg-buildpackage >/dev/null || { echo 'dpkg-buildpackage is not installed: dpkg-dev, debhelper' >&2; exit 1; }
	rm -rf packages/deb && $(MKDIR_P) packages/deb
	cp $(distdir).tar.gz packages/deb/$(PACKAGE)_$(VERSION).orig.tar.gz
	cd packages/deb && tar -xzf $(PACKAGE)_$(VERSION).orig.tar.gz && cd $(distdir) && cp -R packaging/debian debian && \
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL DEB_BUILD_OPTIONS="nocheck parallel=$$(nproc) $$DEB_BUILD_OPTIONS" \
	dpkg-buildpackage -us -uc >../build.log 2>&1 || { tail -n 40 ../build.log; exit 1; }
	@ls packages/deb/*.deb
	cd packages/deb && { ! command -v lintian >/dev/null || lintian --allow-root --fail-on error,warning \
	--suppress-tags initial-upload-closes-no-bugs *.changes; }
	cd packages/deb && { ! command -v blhc >/dev/null || blhc --bindnow build.log; }

# What make deb made, installed in a fresh chroot and purged again.
check-deb: deb
	@$(SHELL) '$(top_srcdir)/packaging/chroot.sh' packages/deb

# Of Debian's rpmbuild, too, which knows of no installed packages. With MPI's packages where there is its compiler.
rpm: dist-gzip
	@command -v rpmbuild >/dev/null || { echo 'rpmbuild is not installed' >&2; exit 1; }
	rm -rf packages/rpm && $(MKDIR_P) packages/rpm/SOURCES
	cp $(distdir).tar.gz packages/rpm/SOURCES
	cd packages/rpm && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL rpmbuild --define "_topdir $$PWD" --nodeps -ba \
	$$(! command -v mpicc >/dev/null || echo --with mpi) '$(abs_top_srcdir)/packaging/distorch2.spec' >build.log 2>&1 || { tail -n 40 build.log; exit 1; }
	@find packages/rpm -name '*.rpm'
	@! command -v rpmlint >/dev/null || rpmlint -c $(top_srcdir)/packaging/rpmlint.toml packages/rpm

clean-local: clean-packages
clean-packages:
	rm -rf packages
.PHONY: check-deb clean-packages deb rpm
